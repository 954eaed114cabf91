import { type ChildProcessByStdio, spawn } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'

import { createFrameReader, encodeFrame, type Outcome } from './frames.js'

// The compiled file, also when this one runs from source in a test.
const LAUNCHER = fileURLToPath(new URL('../../dist/credentials/file-launcher.js', import.meta.url))
// Behind every request in the queue for the processor; its children are too.
const NICE = 'exec nice -n 10 "$0" "$@"'
const IDLE_MS = 60_000

/** What the child printed; `ended`: it, or the launcher, was ended or ended itself; `late`: it got no time to answer. */
export type Answer = Buffer | Exclude<Outcome, 'answered'>
type AnswerHead = { id: number; outcome: Outcome; bytes: number }
type Started = ChildProcessByStdio<Writable, Readable, null>

/** Asks children that a launcher starts, one for each question; the launcher is started and ended as it is needed. */
export class Launcher {
  readonly #entry: string
  readonly #waiting = new Map<number, (answer: Answer) => void>()
  #started: Started | null = null
  #last = 0
  #idle: NodeJS.Timeout | undefined

  constructor(entry: string) {
    this.#entry = entry
  }

  /** `others`: more questions wait behind this one, so nothing is to be started beside its child. */
  ask(question: Buffer, others = false): Promise<Answer> {
    clearTimeout(this.#idle)
    this.#started ??= this.#start()
    const { stdin } = this.#started
    const id = (this.#last += 1)
    hold(this.#started, true)
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve)
      stdin.write(encodeFrame({ id, others }, question))
    })
  }

  #start(): Started {
    const args = ['-c', NICE, process.execPath, '--max-old-space-size=64', LAUNCHER, this.#entry]
    const started = spawn('/bin/sh', args, { cwd: '/', env: {}, stdio: ['pipe', 'pipe', 'ignore'] })
    started.stdin.on('error', () => {})
    started.stdout.on(
      'data',
      createFrameReader<AnswerHead>(({ head: { id, outcome }, body }) =>
        this.#settle(id, outcome === 'answered' ? body : outcome),
      ),
    )
    const gone = () => {
      if (this.#started !== started) return
      this.#started = null
      for (const id of this.#waiting.keys()) this.#settle(id, 'ended')
    }
    started.once('error', gone)
    started.once('close', gone)
    return started
  }

  #settle(id: number, answer: Answer): void {
    this.#waiting.get(id)?.(answer)
    this.#waiting.delete(id)
    if (this.#waiting.size > 0 || this.#started === null) return
    const { stdin } = this.#started
    hold(this.#started, false)
    this.#idle = setTimeout(() => {
      this.#started = null
      stdin.end()
    }, IDLE_MS).unref()
  }
}

/** A launcher that waits for questions does not keep this process alive. */
function hold(started: Started, busy: boolean): void {
  const parts = [started, started.stdin, started.stdout] as unknown as { ref(): void; unref(): void }[]
  for (const part of parts) {
    if (busy) part.ref()
    else part.unref()
  }
}
