import { PassThrough } from 'node:stream'
import { extract } from 'tar-stream'
import { BuildFailure } from './build-failure.js'
import type { BuildRun } from './build-run.js'
import { writePaced } from './copy-file.js'
import type { Command } from './run-command.js'
import { runCommand } from './run-command.js'

export type CollectedFile = { path: string; content: Buffer }

export type CollectLimits = { files: number; totalBytes: number }

/**
 * Reads the plain files of a folder in a container; links, devices and odd paths are refused, not skipped. A folder that
 * is not there has none.
 */
export async function collectFiles(
  run: BuildRun,
  source: { containerId: string; directory: string } & Pick<Command, 'phase' | 'failureCode' | 'subject'>,
  limits: CollectLimits,
): Promise<CollectedFile[]> {
  const { directory, ...command } = source
  const tar = new PassThrough()
  const reading = readTar(tar, limits)
  // Its failure is met below; until then the writer notices that its stream is destroyed.
  tar.on('error', () => undefined)
  reading.catch((error: unknown) => tar.destroy(error instanceof Error ? error : undefined))
  try {
    const argv = ['sh', '-c', 'mkdir -p -- "$1" && exec tar -c -f - -C "$1" .', 'sh', directory]
    await runCommand(run, { ...command, argv, onStdout: (chunk) => writePaced(tar, Buffer.from(chunk)) })
    tar.end()
  } catch (error) {
    if (tar.errored instanceof BuildFailure) throw tar.errored
    tar.destroy(error instanceof Error ? error : undefined)
    throw error
  }
  return reading
}

export async function readTar(tar: PassThrough, limits: CollectLimits): Promise<CollectedFile[]> {
  const files: CollectedFile[] = []
  let total = 0
  for await (const entry of tar.pipe(extract())) {
    const { name, type } = entry.header
    const path = name.replace(/^\.\//, '').replace(/\/$/, '')
    if (type === 'directory') {
      entry.resume()
      continue
    }
    const isPlain = type === 'file' && !path.startsWith('/') && !path.split('/').includes('..')
    if (!isPlain) {
      throw new BuildFailure(
        'output-not-plain',
        `The output has ${JSON.stringify(path)}, which is a ${type}; only files can be kept.`,
      )
    }
    const chunks: Buffer[] = []
    for await (const chunk of entry as AsyncIterable<Buffer>) {
      total += chunk.length
      if (total > limits.totalBytes) throw tooLarge(limits)
      chunks.push(chunk)
    }
    files.push({ path, content: Buffer.concat(chunks) })
    if (files.length > limits.files) throw tooLarge(limits)
  }
  return files
}

const tooLarge = (limits: CollectLimits) =>
  new BuildFailure('output-too-large', `The output has more than ${limits.files} files or ${limits.totalBytes} bytes.`)
