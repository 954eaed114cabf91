import { type ChildProcessByStdio, spawn } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'

import { createFrameReader, encodeFrame, type Outcome } from './frames.js'

/**
 * Entry of the small process that starts the children for the API: to fork a process as large as the API stops every
 * request for tens of milliseconds. It passes questions on as they are and looks into none. One child is kept
 * waiting, its program loaded, so that a file is judged without the start of a process before it; while others wait for their
 * turn none is started beside the one that works.
 */
const [ENTRY = ''] = process.argv.slice(2)
// Processor time, so that a busy machine does not make a good file look costly; the clock is the backstop.
const CPU_LIMIT_SECONDS = 5
const TIME_LIMIT_MS = 15_000
// Buffers lie outside of what Node counts as its heap.
const MEMORY_LIMIT_KB = 320 * 1024
const LIMITED = `set -e; ulimit -c 0; ulimit -t ${CPU_LIMIT_SECONDS}; ulimit -d ${MEMORY_LIMIT_KB}; exec "$0" "$@"`
const NODE_FLAGS = ['--max-old-space-size=192', '--disallow-code-generation-from-strings']
const MAX_ANSWER_BYTES = 256 * 1024
const NOTHING = Buffer.alloc(0)

type Child = ChildProcessByStdio<Writable, Readable, null>
const running = new Set<Child>()
let spare: Child | null = start()

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
function takeChild(others: boolean): Child {
  const child = spare !== null && running.has(spare) ? spare : start()
  spare = others ? null : start()
  return child
}

type Answer = { outcome: Outcome; printed: Buffer }

function ask(question: Buffer, others: boolean): Promise<Answer> {
  const child = takeChild(others)
  return new Promise((resolve) => {
    let outcome: Outcome = 'ended'
    const timer = setTimeout(() => {
      outcome = 'late'
      child.kill('SIGKILL')
    }, TIME_LIMIT_MS)
    const pieces: Buffer[] = []
    let size = 0
    child.stdout.on('data', (piece: Buffer) => {
      size += piece.length
      if (size > MAX_ANSWER_BYTES) child.kill('SIGKILL')
      else pieces.push(piece)
    })
    const settle = (code: number | null) => {
      clearTimeout(timer)
      resolve(code === 0 ? { outcome: 'answered', printed: Buffer.concat(pieces) } : { outcome, printed: NOTHING })
      spare ??= start()
    }
    child.once('error', () => settle(null))
    child.once('close', settle)
    child.stdin.end(question)
  })
}

const read = createFrameReader<{ id: number; others: boolean; bytes: number }>(({ head: { id, others }, body }) => {
  void ask(body, others).then(({ outcome, printed }) => process.stdout.write(encodeFrame({ id, outcome }, printed)))
})

/** The API ended, or needs nobody here for now. */
function end(): never {
  for (const child of running) child.kill('SIGKILL')
  process.exit(0)
}

process.stdin.on('data', read)
process.stdin.once('close', end)
process.stdout.once('error', end)
