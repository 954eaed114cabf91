import type { Readable } from 'node:stream'

/** Labels of everything a worker creates; the reaper finds it by the first two. */
export type Labels = Readonly<Record<string, string>>

/** Sizes of one container. Nothing else about a container can be chosen by a build. */
type ContainerLimits = { memoryBytes: number; cpus: number; pids: number; diskBytes: number }

export type ContainerSpec = {
  kind: 'build' | 'signer'
  name: string
  imageId: string
  labels: Labels
  limits: ContainerLimits
  /** The network of a build container; a signer has none. */
  networkId?: string
}

export type ExecSpec = {
  argv: readonly string[]
  env?: Readonly<Record<string, string>>
  workingDir?: string
  stdin?: Readable | Buffer
  /** Awaited before more output is read, so a slow reader slows the command and not the worker's memory. */
  onOutput: (source: 'stdout' | 'stderr', chunk: Buffer) => void | Promise<void>
}

type ContainerState = { running: boolean; oomKilled: boolean }

/** The container runtime as the worker needs it. Every failure to reach it is an `EngineUnavailable`. */
export interface ContainerEngine {
  ping(): Promise<void>
  resolveImage(reference: string): Promise<string>
  createNetwork(name: string, labels: Labels): Promise<string>
  removeNetwork(networkId: string): Promise<void>
  disconnect(networkId: string, containerId: string): Promise<void>
  startContainer(spec: ContainerSpec): Promise<string>
  /** Runs a command to its end. When `signal` aborts, the container is killed and the abort reason thrown. */
  exec(containerId: string, spec: ExecSpec, signal: AbortSignal): Promise<number>
  inspect(containerId: string): Promise<ContainerState>
  /** Kills and removes; a container that is gone already is no error. */
  removeContainer(containerId: string): Promise<void>
  /** Removes every container and network that has all these labels; answers how many there were. */
  removeLabelled(labels: Labels): Promise<number>
}

export class EngineUnavailable extends Error {
  override name = 'EngineUnavailable'
}

/** The container ended while, or before, a command ran in it. */
export class ContainerStopped extends Error {
  override name = 'ContainerStopped'
}
