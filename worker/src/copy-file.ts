import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { PassThrough, Readable } from 'node:stream'
import type { Writable } from 'node:stream'
import { BuildFailure } from './build-failure.js'
import type { BuildRun } from './build-run.js'
import type { Command } from './run-command.js'
import { runCommand } from './run-command.js'

export type FileInContainer = { containerId: string; path: string }

type Reading = Pick<Command, 'phase' | 'failureCode' | 'subject'>

/** Feeds a stream at the pace of its reader. */
export async function writePaced(stream: Writable, chunk: Buffer): Promise<void> {
  if (stream.destroyed) throw new Error('the reader is gone', { cause: stream.errored })
  if (stream.write(chunk)) return
  await Promise.race([once(stream, 'drain'), once(stream, 'close')])
}

/** The bytes of a file as a stream that fails when the command that reads it does. */
export function openFile(run: BuildRun, file: FileInContainer, reading: Reading): Readable {
  const stream = new PassThrough()
  const argv = ['cat', '--', file.path]
  runCommand(run, {
    ...reading,
    containerId: file.containerId,
    argv,
    onStdout: (chunk) => writePaced(stream, Buffer.from(chunk)),
  }).then(
    () => stream.end(),
    (error: unknown) => stream.destroy(error instanceof Error ? error : new Error('the file cannot be read')),
  )
  return stream
}

/** Copies a file from one container into another without a stop on the host; refuses more than `capBytes`. */
export async function copyFile(
  run: BuildRun,
  copy: { from: FileInContainer; to: FileInContainer; capBytes: number } & Reading,
): Promise<void> {
  const { from, to, capBytes, ...reading } = copy
  let size = 0
  async function* capped() {
    for await (const chunk of openFile(run, from, reading) as AsyncIterable<Buffer>) {
      size += chunk.length
      if (size > capBytes) throw new BuildFailure('output-too-large', `The output is larger than ${capBytes} bytes.`)
      yield chunk
    }
  }
  await runCommand(run, {
    ...reading,
    containerId: to.containerId,
    argv: ['sh', '-c', 'cat > "$1"', 'sh', to.path],
    stdin: Readable.from(capped()),
  })
}

export async function measureFile(
  run: BuildRun,
  file: FileInContainer,
  reading: Reading,
): Promise<{ sizeBytes: number; sha256: string }> {
  const hash = createHash('sha256')
  let sizeBytes = 0
  for await (const chunk of openFile(run, file, reading) as AsyncIterable<Buffer>) {
    hash.update(chunk)
    sizeBytes += chunk.length
  }
  return { sizeBytes, sha256: hash.digest('hex') }
}
