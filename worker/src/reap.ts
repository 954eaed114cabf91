import type { ContainerEngine, Labels } from './container-engine.js'

export type WorkerIdentity = { stackId: string; workerName: string }

/** What marks a container or network as this worker's. */
export function workerLabels({ stackId, workerName }: WorkerIdentity): Labels {
  return { capstan: stackId, 'capstan.worker': workerName }
}

export function buildLabels(worker: WorkerIdentity, buildId: string, attempt: number): Labels {
  return { ...workerLabels(worker), 'capstan.build': buildId, 'capstan.attempt': String(attempt) }
}

/** Removes what an earlier life of this worker left behind. Two workers of one stack must not share a name. */
export async function reap(engine: ContainerEngine, worker: WorkerIdentity): Promise<number> {
  return engine.removeLabelled(workerLabels(worker))
}
