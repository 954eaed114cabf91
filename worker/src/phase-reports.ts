import type { PhaseReport } from '@capstan/migrations/messages'
import { setImmediate } from 'node:timers/promises'

export type PhaseReportsOptions = {
  /** Returns when all of them are stored; called with the same ones until it does. */
  send: (reports: PhaseReport[]) => Promise<void>
  /** They were refused for good; the build is told. */
  onRefused: (error: unknown) => void
}

/** What phases say of themselves, in the order they say it. Whatever comes while some are on their way goes together. */
export class PhaseReports {
  readonly #options: PhaseReportsOptions
  #unheard: PhaseReport[] = []
  #sending: Promise<void> | undefined
  #refusal: { error: unknown } | undefined
  #isClosed = false

  constructor(options: PhaseReportsOptions) {
    this.#options = options
  }

  add(report: PhaseReport): void {
    this.#unheard.push(report)
    if (this.#refusal === undefined && !this.#isClosed) this.#sending ??= this.#send()
  }

  /** Resolves when the API knows of everything that was added. */
  async heard(): Promise<void> {
    await this.#sending
    if (this.#refusal) throw this.#refusal.error
  }

  /** Sends no more; resolves when what is on its way has arrived. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.#sending
  }

  /** What the API may not have heard: for the report of the end to carry. */
  get unheard(): readonly PhaseReport[] {
    return this.#unheard
  }

  async #send(): Promise<void> {
    // The end of a phase and the start of the next one are added in one go.
    await setImmediate()
    try {
      while (this.#unheard.length > 0 && !this.#isClosed) {
        const reports = [...this.#unheard]
        await this.#options.send(reports)
        this.#unheard.splice(0, reports.length)
      }
    } catch (error) {
      this.#refusal = { error }
      this.#options.onRefused(error)
    } finally {
      this.#sending = undefined
    }
  }
}
