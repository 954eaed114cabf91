import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { frame, type PatchOrder, PatchVerdict, unframe } from './patch-order.js'

// The compiled file, also when this one runs from source in a test.
const PROGRAM = fileURLToPath(new URL('../../dist/patches/patch-program.js', import.meta.url))
const CPU_LIMIT_SECONDS = 600
const TIME_LIMIT_MS = 30 * 60_000
// Sizes are bounded by the limits on bundles; this is for what nobody thought of. Behind everything else on the machine.
const LIMITED = `ulimit -c 0; ulimit -t ${CPU_LIMIT_SECONDS}; exec nice -n 10 "$0" "$@"`
const NODE_FLAGS = ['--max-old-space-size=512', '--disallow-code-generation-from-strings']
const MAX_ANSWER_BYTES = 64 * 1024 * 1024

export type MadePatch = { patch: Buffer } | { reason: string }

/** Makes a patch in a process of its own, which holds both bundles and no credential. Nothing touches the disk. */
export async function runPatchProgram(
  order: PatchOrder,
  zips: { old: () => Promise<Readable>; fresh: () => Promise<Readable> },
  signal: AbortSignal,
): Promise<MadePatch> {
  const child = spawn('/bin/sh', ['-c', LIMITED, process.execPath, ...NODE_FLAGS, PROGRAM], {
    cwd: '/',
    env: {},
    stdio: ['pipe', 'pipe', 'ignore'],
    signal: AbortSignal.any([signal, AbortSignal.timeout(TIME_LIMIT_MS)]),
    killSignal: 'SIGKILL',
  })
  const ended = once(child, 'close').then(([code]) => code as number | null)
  ended.catch(() => undefined)
  child.stdin.on('error', () => undefined)
  const pieces: Buffer[] = []
  let received = 0
  child.stdout.on('data', (piece: Buffer) => {
    received += piece.length
    if (received > MAX_ANSWER_BYTES) child.kill('SIGKILL')
    else pieces.push(piece)
  })
  try {
    child.stdin.write(frame(order))
    await feed(child.stdin, await zips.old())
    await feed(child.stdin, await zips.fresh())
    child.stdin.end()
    if ((await ended) !== 0) throw new Error('The program that makes patches failed.')
  } finally {
    child.kill('SIGKILL')
  }
  const { document, rest } = unframe(Buffer.concat(pieces))
  const verdict = PatchVerdict.parse(document)
  if (!verdict.ok) return { reason: verdict.reason }
  if (rest.length !== verdict.sizeBytes) throw new Error('The program that makes patches was cut short.')
  return { patch: rest }
}

/** A child that went away reads nothing; its exit code says so in the end. */
async function feed(into: NodeJS.WritableStream & { destroyed?: boolean }, zip: Readable): Promise<void> {
  for await (const piece of zip) {
    if (into.destroyed) return
    if (!into.write(piece as Buffer)) await Promise.race([once(into, 'drain'), once(into, 'close')])
  }
}
