import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const child = fileURLToPath(new URL('patch-child.mjs', import.meta.url))

/** Files in a folder that goes away with the process. */
export function openScratch(): (name: string, bytes?: Uint8Array) => string {
  const folder = mkdtempSync(join(tmpdir(), 'capstan-patch-bench-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  return (name, bytes) => {
    const file = join(folder, name)
    if (bytes) writeFileSync(file, bytes)
    return file
  }
}

/** The two tools to compare with. */
export async function requireTools(): Promise<void> {
  for (const [tool, ...args] of [['zstd', '--version'], ['bsdiff']] as const) {
    await run(tool, args).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') throw new Error(`${tool} is missing. On Debian: apt-get install zstd bsdiff`)
    })
  }
}

export async function zstdPatch(
  old: string,
  whole: string,
  out: string,
): Promise<{ bytes: number; milliseconds: number }> {
  const started = performance.now()
  const flags = ['-q', '-f', '-22', '--ultra', '--long=31', '--single-thread']
  await run('zstd', [...flags, `--patch-from=${old}`, whole, '-o', out])
  return { bytes: statSync(out).size, milliseconds: performance.now() - started }
}

export async function bsdiffPatch(old: string, whole: string, out: string): Promise<{ bytes: number }> {
  await run('bsdiff', [old, whole, out])
  return { bytes: statSync(out).size }
}

/** Runs one measurement in a process of its own. */
export async function inChild(...args: string[]): Promise<{ milliseconds: number; peakRssBytes: number }> {
  const { stdout } = await run(process.execPath, [child, ...args])
  return JSON.parse(stdout) as { milliseconds: number; peakRssBytes: number }
}

export function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length)
}
