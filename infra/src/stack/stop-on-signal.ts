import type { Say } from '../report-progress.js'
import type { Teardown } from './teardown.js'

export interface Interruption {
  /** Resolves when the run was asked to end. */
  readonly asked: Promise<void>
  readonly wasAsked: () => boolean
  readonly forget: () => void
}

/** Ctrl-C, SIGTERM and a closed terminal run the teardown; asking again does not skip it. */
export function stopOnSignal(teardown: Teardown, say: Say): Interruption {
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  let resolveAsked = (): void => {}
  const asked = new Promise<void>((resolve) => {
    resolveAsked = resolve
  })
  let received = false
  const stop = (): void => {
    if (!received) say('stopping')
    received = true
    teardown.run().catch(() => {})
    resolveAsked()
  }
  for (const signal of signals) process.on(signal, stop)
  return {
    asked,
    wasAsked: () => received,
    forget: () => {
      for (const signal of signals) process.off(signal, stop)
    },
  }
}
