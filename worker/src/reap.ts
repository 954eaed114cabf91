import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { ContainerEngine, Labels } from './container-engine.js'

export type WorkerIdentity = { stackId: string; workerName: string }

/** What marks a container or network as this worker's. */
export function workerLabels({ stackId, workerName }: WorkerIdentity): Labels {
  return { capstan: stackId, 'capstan.worker': workerName }
}

export function buildLabels(worker: WorkerIdentity, buildId: string, attempt: number): Labels {
  return { ...workerLabels(worker), 'capstan.build': buildId, 'capstan.attempt': String(attempt) }
}

/** Names the attempt that a container belongs to. */
export const attemptOf = (labels: Labels): string => `${labels['capstan.build']} ${labels['capstan.attempt']}`

/**
 * Removes this worker's containers but those of the attempts that it runs: what an earlier life of it, or an engine that
 * went away, left behind. Two workers of one stack must not share a name.
 */
export async function reap(
  engine: ContainerEngine,
  worker: WorkerIdentity,
  running: ReadonlySet<string> = new Set(),
): Promise<number> {
  return engine.removeLabelled(workerLabels(worker), (labels) => running.has(attemptOf(labels)))
}

const reapEveryMs = 4_000

type Reaping = { engine: ContainerEngine; identity: WorkerIdentity; running: ReadonlySet<string>; log: Logger }

/** Reaps until disposed. An engine that does not answer is asked again. */
export function keepReaping({ engine, identity, running, log }: Reaping): AsyncDisposable {
  const stopping = new AbortController()
  const { signal } = stopping
  const loop = (async () => {
    while (!signal.aborted) {
      await sleep(reapEveryMs, undefined, { signal }).catch(() => undefined)
      const reaped = signal.aborted ? 0 : await reap(engine, identity, running).catch(() => 0)
      if (reaped > 0) log.warn({ reaped }, 'removed containers that no running build owns')
    }
  })()
  return {
    async [Symbol.asyncDispose]() {
      stopping.abort()
      await loop
    },
  }
}
