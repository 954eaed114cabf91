import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

import { Verdict } from './credential-facts.js'
import { CredentialRefusal } from './credential-refusal.js'
import type { FileQuestion } from './file-question.js'

// The compiled file, also when this one runs from source in a test.
const CHILD = fileURLToPath(new URL('../../dist/credentials/file-child.js', import.meta.url))
// Processor time, so that a busy machine does not make a good file look costly; the clock is the backstop.
const CPU_LIMIT_SECONDS = 5
const TIME_LIMIT_MS = 15_000
// Behind every request in the queue for the processor.
const LIMITED = `ulimit -c 0; ulimit -t ${CPU_LIMIT_SECONDS}; exec nice -n 10 "$0" "$@"`
const NODE_FLAGS = ['--max-old-space-size=192', '--disallow-code-generation-from-strings']
const MAX_ANSWER_BYTES = 256 * 1024
const MAX_CHILDREN = 2

let running = 0
const waiting: (() => void)[] = []

/** Reads an uploaded file in a child process of its own and answers what it found; throws `CredentialRefusal`. */
export async function checkFile(question: FileQuestion, child = CHILD): Promise<unknown> {
  await turn()
  try {
    const verdict = readVerdict(await runChild(JSON.stringify(question), child))
    if (verdict.ok) return verdict.result
    throw new CredentialRefusal(verdict.code, verdict.message)
  } finally {
    leave()
  }
}

/** Few at a time: a file may cost a whole processor for seconds. */
async function turn(): Promise<void> {
  if (running < MAX_CHILDREN) running += 1
  else await new Promise<void>((resolve) => waiting.push(resolve))
}

/** Hands the place to who waits longest, if anybody does. */
function leave(): void {
  const next = waiting.shift()
  if (next === undefined) running -= 1
  else next()
}

/** What the child printed, or null when it had to be ended or ended itself. */
function runChild(question: string, entry: string): Promise<string | null> {
  return new Promise((resolve) => {
    const child = spawn('/bin/sh', ['-c', LIMITED, process.execPath, ...NODE_FLAGS, entry], {
      cwd: '/',
      env: {},
      stdio: ['pipe', 'pipe', 'ignore'],
    })
    const timer = setTimeout(() => child.kill('SIGKILL'), TIME_LIMIT_MS)
    let answer = ''
    child.stdout.setEncoding('utf8')
    child.stdout.on('data', (piece: string) => {
      answer += piece
      if (answer.length > MAX_ANSWER_BYTES) child.kill('SIGKILL')
    })
    child.stdin.on('error', () => {})
    child.once('error', () => resolve(null))
    child.once('close', (code) => {
      clearTimeout(timer)
      resolve(code === 0 ? answer : null)
    })
    child.stdin.end(question)
  })
}

function readVerdict(answer: string | null): Verdict {
  if (answer !== null) return Verdict.parse(JSON.parse(answer))
  return {
    ok: false,
    code: 'keystore-too-costly',
    message: 'Opening the file took too much time or memory. Export it again with default settings.',
  }
}
