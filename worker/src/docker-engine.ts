import Docker from 'dockerode'
import { platformFailure } from './build-failure.js'
import type { ContainerEngine, ContainerSpec, Labels } from './container-engine.js'
import { ContainerStopped, EngineUnavailable } from './container-engine.js'
import { containerOptions } from './container-profile.js'
import { dockerExec, dockerPipe } from './docker-exec.js'

const pingTimeoutMs = 5_000
const inspectTimeoutMs = 5_000

export function createDockerEngine(dockerHost: string, { runtime }: { runtime?: string } = {}): ContainerEngine {
  const docker = new Docker(connectionOptions(dockerHost))
  let processors: number | undefined

  return {
    ping: () => guarded(() => withTimeout(docker.ping(), pingTimeoutMs)),

    resolveImage: (reference) =>
      guarded(async () => {
        try {
          const { Id, RepoDigests } = await docker.getImage(reference).inspect()
          return { id: Id, digests: [Id, ...(RepoDigests ?? []).map((name) => name.slice(name.indexOf('@') + 1))] }
        } catch (error) {
          if (statusOf(error) !== 404) throw error
          throw platformFailure('builder-image-missing', `The builder image ${reference} is not on this worker.`, error)
        }
      }),

    runtimes: () =>
      guarded(async () => {
        const { Runtimes = {} } = (await docker.info()) as { Runtimes?: Record<string, unknown> }
        return Object.keys(Runtimes)
      }),

    startContainer: (spec: ContainerSpec) =>
      guarded(async () => {
        // Docker refuses a share of more processors than the machine has.
        processors ??= ((await docker.info()) as { NCPU: number }).NCPU
        const limits = { ...spec.limits, cpus: Math.min(spec.limits.cpus, processors) }
        try {
          const container = await docker.createContainer(
            containerOptions({ ...spec, limits, ...(runtime !== undefined && { runtime }) }),
          )
          await container.start()
          return container.id
        } catch (error) {
          if (statusOf(error) === undefined) throw error
          const reason = error instanceof Error ? error.message : String(error)
          throw platformFailure('container-refused', `Docker does not start the container: ${reason}`, error)
        }
      }),

    exec: (containerId, spec, signal) =>
      guarded(async () => {
        try {
          return await dockerExec(docker.getContainer(containerId), spec, signal)
        } catch (error) {
          signal.throwIfAborted()
          if (statusOf(error) === undefined || (await isRunning(docker, containerId))) throw error
          throw new ContainerStopped('the container ended', { cause: error })
        }
      }),

    openPipe: (containerId, argv) => guarded(() => dockerPipe(docker.getContainer(containerId), argv)),

    inspect: (containerId) =>
      guarded(async () => {
        const container = docker.getContainer(containerId)
        const oomKills = await countOomKills(container)
        const { State } = await container.inspect()
        return { running: State.Running, oomKilled: State.OOMKilled || oomKills > 0 }
      }),

    removeContainer: (containerId) => guarded(() => ignoreGone(forceRemove(docker, containerId))),

    removeLabelled: (labels: Labels, isSpared = () => false) =>
      guarded(async () => {
        const filters = { label: Object.entries(labels).map(([name, value]) => `${name}=${value}`) }
        const found = await docker.listContainers({ all: true, filters })
        const containers = found.filter(({ Labels: own }) => !isSpared(own))
        for (const { Id } of containers) await ignoreGone(forceRemove(docker, Id))
        return containers.length
      }),
  }
}

function connectionOptions(dockerHost: string): Docker.DockerOptions {
  const url = new URL(dockerHost)
  if (url.protocol === 'unix:') return { socketPath: url.pathname }
  return { protocol: 'http', host: url.hostname, port: url.port === '' ? 2375 : Number(url.port) }
}

/** While a container runs, the engine does not say that a command in it was killed; its control group does. */
async function countOomKills(container: Docker.Container): Promise<number> {
  const counters = '/sys/fs/cgroup/memory/memory.oom_control /sys/fs/cgroup/memory.events'
  let printed = ''
  const argv = ['sh', '-c', `cat ${counters} 2>/dev/null || true`]
  const onOutput = (_: unknown, chunk: Buffer) => {
    if (printed.length < 4_096) printed += chunk.toString('latin1')
  }
  try {
    await dockerExec(container, { argv, onOutput }, AbortSignal.timeout(inspectTimeoutMs))
  } catch (error) {
    // A container that has stopped says itself whether it was killed.
    if (statusOf(error) === undefined) throw error
  }
  return Number(/^oom_kill (\d+)$/m.exec(printed)?.[1] ?? 0)
}

/** The engine refuses a command in a stopped container with 404, 409 or 500, as it notices early or late. */
async function isRunning(docker: Docker, containerId: string): Promise<boolean> {
  try {
    return (await docker.getContainer(containerId).inspect()).State.Running
  } catch (error) {
    if (statusOf(error) !== 404) throw error
    return false
  }
}

async function forceRemove(docker: Docker, containerId: string): Promise<void> {
  await docker.getContainer(containerId).remove({ force: true, v: true })
}

/** Gone already (404), or going (409 "removal already in progress"). */
async function ignoreGone(removal: Promise<void>): Promise<void> {
  try {
    await removal
  } catch (error) {
    if (statusOf(error) !== 404 && statusOf(error) !== 409) throw error
  }
}

async function guarded<T>(operation: () => Promise<T>): Promise<T> {
  try {
    return await operation()
  } catch (error) {
    if (!isConnectionError(error)) throw error
    throw new EngineUnavailable('The container engine does not answer.', { cause: error })
  }
}

const connectionCodes = new Set(['ECONNREFUSED', 'ENOENT', 'ECONNRESET', 'EPIPE', 'EACCES', 'ETIMEDOUT', 'ENOTFOUND'])

function isConnectionError(error: unknown): boolean {
  return error instanceof Error && 'code' in error && connectionCodes.has(String(error.code))
}

function statusOf(error: unknown): number | undefined {
  return error instanceof Error && 'statusCode' in error && typeof error.statusCode === 'number'
    ? error.statusCode
    : undefined
}

async function withTimeout(answer: Promise<unknown>, timeoutMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new EngineUnavailable('The container engine does not answer.')), timeoutMs)
  })
  await Promise.race([answer, late]).finally(() => clearTimeout(timer))
}
