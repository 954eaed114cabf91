import { type ChildProcessByStdio, spawn } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'

import { createFrameReader, encodeFrame } from './frames.js'

/**
 * Entry of the small process that starts the children for the API: to fork a process as large as the API stops every
 * request for tens of milliseconds. It passes questions on as they are and looks into none. One child is kept waiting,
 * its program loaded, so that a file is judged without the start of a process before it.
 */
const [ENTRY = ''] = process.argv.slice(2)
// Processor time, so that a busy machine does not make a good file look costly; the clock is the backstop.
const CPU_LIMIT_SECONDS = 5
const TIME_LIMIT_MS = 15_000
const LIMITED = `ulimit -c 0; ulimit -t ${CPU_LIMIT_SECONDS}; exec "$0" "$@"`
const NODE_FLAGS = ['--max-old-space-size=192', '--disallow-code-generation-from-strings']
const MAX_ANSWER_BYTES = 256 * 1024

type Child = ChildProcessByStdio<Writable, Readable, null>
const running = new Set<Child>()
let spare = start()

function start(): Child {
  const child = spawn('/bin/sh', ['-c', LIMITED, process.execPath, ...NODE_FLAGS, ENTRY], {
    cwd: '/',
    env: {},
    stdio: ['pipe', 'pipe', 'ignore'],
  })
  running.add(child)
  child.stdin.on('error', () => {})
  child.once('error', () => running.delete(child))
  child.once('close', () => running.delete(child))
  return child
}

/** One that died while it waited is not given a question. */
function takeChild(): Child {
  const child = running.has(spare) ? spare : start()
  spare = start()
  return child
}

/** What the child printed, or null when it had to be ended or ended itself. */
function ask(question: Buffer): Promise<Buffer | null> {
  const child = takeChild()
  return new Promise((resolve) => {
    const timer = setTimeout(() => child.kill('SIGKILL'), TIME_LIMIT_MS)
    const pieces: Buffer[] = []
    let size = 0
    child.stdout.on('data', (piece: Buffer) => {
      size += piece.length
      if (size > MAX_ANSWER_BYTES) child.kill('SIGKILL')
      else pieces.push(piece)
    })
    child.once('error', () => resolve(null))
    child.once('close', (code) => {
      clearTimeout(timer)
      resolve(code === 0 ? Buffer.concat(pieces) : null)
    })
    child.stdin.end(question)
  })
}

const read = createFrameReader<{ id: number; bytes: number }>(({ head: { id }, body }) => {
  void ask(body).then((answer) =>
    process.stdout.write(encodeFrame({ id, ok: answer !== null }, answer ?? Buffer.alloc(0))),
  )
})

/** The API ended, or needs nobody here for now. */
function end(): never {
  for (const child of running) child.kill('SIGKILL')
  process.exit(0)
}

process.stdin.on('data', read)
process.stdin.once('close', end)
process.stdout.once('error', end)
