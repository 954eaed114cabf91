import { setTimeout as sleep } from 'node:timers/promises'
import type { LeaseClient } from './api-client.js'
import { LeaseLost, buildCanceled } from './build-failure.js'

export type LeaseKeeperOptions = {
  lease: LeaseClient
  heartbeatMs: number
  /** Called once: the build was canceled, or the lease went to another attempt. */
  onStop: (reason: Error) => void
  onTrouble: (error: unknown) => void
}

/** A lease that cannot be extended is running out. */
const troubledPauseMs = 2_000

/** Heartbeats until disposed, the first one after a pause: the lease is new. An API that does not answer is asked again; only its word ends the build. */
export function keepLease(options: LeaseKeeperOptions): AsyncDisposable {
  const ended = new AbortController()
  const beating = beat(options, ended.signal)
  return {
    async [Symbol.asyncDispose]() {
      ended.abort()
      await beating
    },
  }
}

async function beat(options: LeaseKeeperOptions, ended: AbortSignal): Promise<void> {
  let canceled = false
  let pauseMs = options.heartbeatMs
  for (;;) {
    await sleep(pauseMs, undefined, { signal: ended }).catch(() => undefined)
    if (ended.aborted) return
    try {
      pauseMs = options.heartbeatMs
      const answer = await options.lease.heartbeat({ signal: ended, budgetMs: 0 })
      if (answer.cancelRequested && !canceled) {
        canceled = true
        options.onStop(buildCanceled())
      }
    } catch (error) {
      if (ended.aborted) return
      if (error instanceof LeaseLost) {
        options.onStop(error)
        return
      }
      options.onTrouble(error)
      pauseMs = Math.min(options.heartbeatMs, troubledPauseMs)
    }
  }
}
