import { setTimeout as sleep } from 'node:timers/promises'
import type { WorkerReport } from '@capstan/migrations/messages'
import type { Logger } from 'pino'
import type { ApiClient } from './api-client.js'

const untilAnsweredMs = 5_000

/**
 * Says again and again that this worker is there, what it can do and how much of it at once. An API that is away is told
 * when it is back; nothing waits for that.
 */
export function keepReporting(api: ApiClient, report: WorkerReport, log: Logger): AsyncDisposable {
  const stopping = new AbortController()
  const { signal } = stopping
  const loop = (async () => {
    while (!signal.aborted) {
      const waitMs = await api.report(report, { signal, budgetMs: untilAnsweredMs }).then(
        ({ nextReportMs }) => nextReportMs,
        (error: unknown) => {
          if (!signal.aborted) log.warn({ err: error }, 'the API was not told that this worker is there')
          return untilAnsweredMs
        },
      )
      await sleep(waitMs, undefined, { signal }).catch(() => undefined)
    }
  })()
  return {
    async [Symbol.asyncDispose]() {
      stopping.abort()
      await loop
    },
  }
}
