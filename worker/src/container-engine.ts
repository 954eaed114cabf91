import type { Readable, Writable } from 'node:stream'

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
  /** The operator's choice of runtime, such as `runsc`; the engine's own default when absent. */
  runtime?: string
}

export type ExecSpec = {
  argv: readonly string[]
  env?: Readonly<Record<string, string>>
  workingDir?: string
  stdin?: Readable | Buffer
  /** Awaited before more output is read, so a slow reader slows the command and not the worker's memory. */
  onOutput: (source: 'stdout' | 'stderr', chunk: Buffer) => void | Promise<void>
}

type ResolvedImage = { id: string; digests: readonly string[] }

/** A running command's standard input and output; closing it ends the command's input. */
export type Pipe = { input: Writable; output: AsyncIterable<Buffer>; close(): void }

type ContainerState = { running: boolean; oomKilled: boolean }

/** The container runtime as the worker needs it. Every failure to reach it is an `EngineUnavailable`. */
export interface ContainerEngine {
  ping(): Promise<void>
  /** The id of an image that the engine has, and every digest it is known by. */
  resolveImage(reference: string): Promise<ResolvedImage>
  /** Names of the runtimes that containers can be started with. */
  runtimes(): Promise<readonly string[]>
  startContainer(spec: ContainerSpec): Promise<string>
  /** Runs a command to its end. When `signal` aborts, the container is killed and the abort reason thrown. */
  exec(containerId: string, spec: ExecSpec, signal: AbortSignal): Promise<number>
  /** Starts a command and leaves it running, with its input and output in the caller's hands. */
  openPipe(containerId: string, argv: readonly string[]): Promise<Pipe>
  inspect(containerId: string): Promise<ContainerState>
  /** Kills and removes; a container that is gone already is no error. */
  removeContainer(containerId: string): Promise<void>
  /** Removes every container that has all these labels and is not to be spared; answers how many there were. */
  removeLabelled(labels: Labels, isSpared?: (labels: Labels) => boolean): Promise<number>
}

export class EngineUnavailable extends Error {
  override name = 'EngineUnavailable'
}

/** The container ended while, or before, a command ran in it. */
export class ContainerStopped extends Error {
  override name = 'ContainerStopped'
}
