import type { BuildPhase, LogBatch } from '@capstan/migrations/messages'
import { LOG_LINE_BYTES } from '@capstan/migrations/messages'
import type { SecretSet } from './mask.js'
import { LineSplitter, lineCap } from './split-lines.js'

export type LogLine = LogBatch['lines'][number]

/** Sends one batch and returns when it is stored; called with the same batch until it does. */
type SendBatch = (batch: LogBatch) => Promise<void>

export type LogPumpOptions = {
  secrets: SecretSet
  send: SendBatch
  /** The batch was refused for good, so logs end here; the build is told. */
  onRefused: (error: unknown) => void
  now?: () => Date
  batchMs?: number
  batchBytes?: number
  buildBytes?: number
}

export type OutputStream = { write(chunk: Buffer): void; end(): void }

/** More than this is not held for an API that is away or slow; the commands that print it wait. */
const waitingBytes = 32 * 1024 * 1024
const tailLines = 400
const batchLines = 1_000

/**
 * Masked lines in the order they came, in numbered batches, one on its way at a time. While the API is away lines wait
 * here, up to a limit; a command that prints more is made to wait by `room`.
 */
export class LogPump {
  readonly #options: Required<LogPumpOptions>
  readonly #tails = new Map<BuildPhase, string[]>()
  #waiting: LogLine[] = []
  #waitingBytes = 0
  #onRoom: (() => void)[] = []
  #batch = 0
  #total = 0
  #capped = false
  #refused = false
  #timer: NodeJS.Timeout | undefined
  #isHurrying = false
  #sending: Promise<void> | undefined
  #lastOutputAt = Date.now()

  constructor(options: LogPumpOptions) {
    this.#options = {
      now: () => new Date(),
      batchMs: 100,
      batchBytes: 64 * 1024,
      buildBytes: 32 * 1024 * 1024,
      ...options,
    }
  }

  /** One per output of one command: chunks of stdout and stderr must not meet in one masker. */
  openStream(phase: BuildPhase): OutputStream {
    const mask = this.#options.secrets.openStream()
    const lines = new LineSplitter((text) => this.#append(phase, text))
    return {
      write: (chunk) => {
        this.#lastOutputAt = Date.now()
        lines.write(mask.write(chunk))
      },
      end: () => {
        lines.write(mask.end())
        lines.end()
      },
    }
  }

  /** A line of the worker's own, such as what a phase decided. */
  note(phase: BuildPhase, text: string): void {
    for (const line of this.#options.secrets.maskText(text).split('\n')) this.#append(phase, line.slice(0, lineCap))
  }

  tail(phase: BuildPhase): readonly string[] {
    return this.#tails.get(phase) ?? []
  }

  /** Milliseconds since any command printed anything. */
  silentMs(): number {
    return Date.now() - this.#lastOutputAt
  }

  touch(): void {
    this.#lastOutputAt = Date.now()
  }

  /** Resolves when there is room for more output, or when the build is stopped. */
  async room(signal: AbortSignal): Promise<void> {
    if (this.#waitingBytes < waitingBytes || signal.aborted) return
    await new Promise<void>((resolve) => {
      const go = () => {
        signal.removeEventListener('abort', go)
        resolve()
      }
      this.#onRoom.push(go)
      signal.addEventListener('abort', go, { once: true })
    })
  }

  #tellOfRoom(): void {
    if (this.#waitingBytes >= waitingBytes) return
    for (const go of this.#onRoom.splice(0)) go()
  }

  /** For what has nothing to wait for, such as the last words of a phase. */
  sendNow(): void {
    if (this.#sending === undefined && this.#waiting.length > 0) this.#startSending()
  }

  /** Sends all but the last batch, which is the caller's to send with the end of the build. */
  async takeLast(): Promise<LogBatch | undefined> {
    while (this.#sending !== undefined || this.#exceedsBatch()) {
      if (this.#sending === undefined) this.#startSending()
      await this.#sending
    }
    return this.#nextBatch()
  }

  #exceedsBatch(): boolean {
    return this.#waitingBytes > this.#options.batchBytes || this.#waiting.length > batchLines
  }

  #append(phase: BuildPhase, text: string): void {
    const tail = this.#tails.get(phase) ?? []
    tail.push(text)
    if (tail.length > tailLines) tail.shift()
    this.#tails.set(phase, tail)
    if (this.#capped || this.#refused) return
    this.#total += costOf(text)
    this.#capped = this.#total > this.#options.buildBytes
    const limit = Math.floor(this.#options.buildBytes / 1024)
    const kept = this.#capped ? `The log reached its limit of ${limit} KiB; what follows is not kept.` : text
    this.#waiting.push({ at: this.#options.now().toISOString(), phase, text: kept })
    this.#waitingBytes += costOf(kept)
    if (this.#sending === undefined) this.#sendSoon()
  }

  /** What fills a batch has nothing to wait for but the command that prints it. */
  #sendSoon(): void {
    const { batchBytes, batchMs } = this.#options
    const isFull = this.#waitingBytes >= batchBytes || this.#waiting.length >= batchLines
    if (this.#isHurrying || (!isFull && this.#timer)) return
    clearTimeout(this.#timer)
    this.#isHurrying = isFull
    this.#timer = setTimeout(() => this.#startSending(), isFull ? 0 : batchMs)
  }

  #startSending(): void {
    this.#sending = this.#sendWaiting().finally(() => {
      this.#sending = undefined
      if (this.#waiting.length > 0) this.#sendSoon()
    })
  }

  async #sendWaiting(): Promise<void> {
    const batch = this.#nextBatch()
    if (batch === undefined) return
    try {
      await this.#options.send(batch)
    } catch (error) {
      this.#refused = true
      this.#waiting = []
      this.#waitingBytes = 0
      this.#tellOfRoom()
      this.#options.onRefused(error)
    }
  }

  #nextBatch(): LogBatch | undefined {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#isHurrying = false
    const lines = this.#takeLines()
    return lines.length === 0 ? undefined : { batch: ++this.#batch, lines }
  }

  #takeLines(): LogLine[] {
    let bytes = 0
    let count = 0
    for (const line of this.#waiting) {
      bytes += Buffer.byteLength(line.text)
      if (count > 0 && (bytes > this.#options.batchBytes || count === batchLines)) break
      count += 1
    }
    const taken = this.#waiting.splice(0, count)
    for (const { text } of taken) this.#waitingBytes -= costOf(text)
    this.#tellOfRoom()
    return taken
  }
}

/** Lines without text take room too. */
const costOf = (text: string) => Buffer.byteLength(text) + LOG_LINE_BYTES
