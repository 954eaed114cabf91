import { execFileSync } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import postgres from 'postgres'
import { readConfig } from '../src/config.js'
import { startStack, type Stack, type StackOptions } from '../src/stack/start-stack.js'
import { BuildClient } from './build-client.js'
import { PhaseGate, type Boundary, type Edge } from './phase-gate.js'

export const boundaries = [
  'prepare',
  'fetch-source',
  'restore-cache',
  'install',
  'save-cache',
  'build-web',
  'sync-native',
  'compile',
  'sign',
  'verify',
  'upload',
  'finish',
] as const satisfies readonly Boundary[]

export const edges = ['before', 'after'] as const satisfies readonly Edge[]

/** Phases that only a build for Android has. */
const native: ReadonlySet<Boundary> = new Set(['sync-native', 'compile', 'sign', 'verify'])

export interface Cell {
  readonly boundary: Boundary
  readonly edge: Edge
}

export interface Ending extends Cell {
  readonly appId: string
  readonly status: string
  readonly attempts: number
  /** Events of the audit chain that say the build is over; more than one: it ended more than once. */
  readonly ends: number
  readonly readyArtifacts: number
  /** Rows of artefacts that are neither ready nor discarded, or ready and of another attempt than the last. */
  readonly strayArtifacts: number
  readonly unfinishedPhases: number
  readonly readyCaches: number
  /** Caches of the build that count for nobody, or of another attempt than the last. */
  readonly strayCaches: number
}

export interface RigOptions {
  readonly builderImage?: string
  readonly dockerHost?: string
  readonly leaseMs: number
  readonly moreWorkers?: readonly string[]
  readonly concurrency?: number
}

export interface Rig extends AsyncDisposable {
  readonly stack: Stack
  readonly gate: PhaseGate
  readonly client: BuildClient
  readonly crashes: string[]
}

/** A stack whose workers reach the API through a gate. */
export async function openRig(options: RigOptions): Promise<Rig> {
  const gate = new PhaseGate()
  const crashes: string[] = []
  const { builderImage, dockerHost, moreWorkers } = options
  const config = { ...readConfig(), databaseUrl: undefined, redisUrl: undefined }
  const stackOptions: StackOptions = {
    config: dockerHost === undefined ? config : { ...config, dockerHost },
    say: (line) => crashes.push(line),
    ports: 'free',
    ...(builderImage === undefined ? {} : { builderImage }),
    ...(moreWorkers === undefined ? {} : { moreWorkers }),
    overrides: {
      api: { LEASE_MS: String(options.leaseMs) },
      control: { SWEEP_MS: '300', RELAY_MS: '200' },
      worker: {
        API_URL: await gate.listen(),
        HEARTBEAT_MS: '500',
        DOCKER_RETRY_MS: '500',
        WORKER_CONCURRENCY: String(options.concurrency ?? 4),
      },
    },
  }
  const stack = await startStack(stackOptions)
  gate.target = stack.apiUrl
  return {
    stack,
    gate,
    crashes,
    client: new BuildClient(stack),
    async [Symbol.asyncDispose]() {
      await gate[Symbol.asyncDispose]()
      await stack.stop()
    },
  }
}

export interface Strike {
  /** Does the harm while every build waits at its boundary. */
  readonly harm: () => Promise<void>
  /** Edges at which the connection that carries the report is lost with the one that was struck. */
  readonly losesAt: readonly Edge[]
}

/** Brings one build to each of the boundaries, strikes once, lets them go on, and says how each of them ended. */
export async function strikeAt(rig: Rig, cells: readonly Cell[], strike: Strike): Promise<Ending[]> {
  const started = await Promise.all(
    cells.map(async (cell) => {
      const appId = await rig.client.createApp()
      const hold = rig.gate.hold(appId, cell.boundary, cell.edge)
      const buildId = await requestFor(rig.client, appId, cell.boundary)
      return { cell, appId, hold, buildId }
    }),
  )
  for (const { hold, appId, buildId, cell } of started) {
    const reached = new AbortController()
    await Promise.race([hold.reached, endedEarly(rig.client, { appId, buildId }, cell.boundary, reached.signal)])
    reached.abort()
  }
  await strike.harm()
  for (const { hold, cell } of started) hold.release(strike.losesAt.includes(cell.edge) ? 'drop' : 'deliver')
  return Promise.all(
    started.map(async ({ cell, appId, buildId }) => {
      const { job } = await rig.client.untilEnded(appId, buildId, 300_000)
      return { ...cell, appId, status: job.status, ...(await lookAt(rig.stack, buildId)) }
    }),
  )
}

/**
 * What the database says of a build that met a fault and ended once, with one set of artefacts. Its cache may be missing, for
 * a build does not wait for it; a part of one may not stay.
 */
export const oneEnd = { ends: 1, readyArtifacts: 1, strayArtifacts: 0, unfinishedPhases: 0, strayCaches: 0 } as const

async function requestFor(client: BuildClient, appId: string, boundary: Boundary): Promise<string> {
  return native.has(boundary) ? client.requestAndroidBuild(appId) : client.requestBuild(appId, 0)
}

async function endedEarly(
  client: BuildClient,
  { appId, buildId }: { appId: string; buildId: string },
  boundary: Boundary,
  reached: AbortSignal,
): Promise<void> {
  const ended = await client.untilEnded(appId, buildId, 180_000, reached).catch((error: unknown) => {
    if (!reached.aborted) throw error
  })
  if (!ended) return
  const { status, statusMessage } = ended.job
  throw new Error(`the build ended as ${status} (${statusMessage ?? ''}) and never came to ${boundary}`)
}

export async function lookAt({ databaseUrl }: Stack, buildId: string) {
  const sql = postgres(databaseUrl, { max: 1, onnotice: () => {} })
  try {
    const [seen] = await sql<Omit<Ending, keyof Cell | 'appId' | 'status'>[]>`
      select attempt as attempts,
        (select count(*)::int from audit_events e where e.org_id = jobs.org_id
          and e.action in ('build.succeeded', 'build.failed', 'build.canceled', 'build.timed_out')
          and e.event::jsonb -> 'target' ->> 'build' = ${buildId}) as ends,
        (select count(*)::int from artifacts a where a.build_id = jobs.build_id and a.status = 'ready'
          and a.attempt = jobs.attempt) as "readyArtifacts",
        (select count(*)::int from artifacts a where a.build_id = jobs.build_id and a.status <> 'discarded'
          and (a.status <> 'ready' or a.attempt <> jobs.attempt)) as "strayArtifacts",
        (select count(*)::int from job_phases p where p.job_id = jobs.id and p.state = 'started') as "unfinishedPhases",
        (select count(*)::int from dependency_caches c where c.build_id = jobs.build_id and c.status = 'ready'
          and c.attempt = jobs.attempt) as "readyCaches",
        (select count(*)::int from dependency_caches c where c.build_id = jobs.build_id
          and (c.status <> 'ready' or c.attempt <> jobs.attempt)) as "strayCaches"
      from jobs where build_id = ${buildId}`
    if (!seen) throw new Error(`there is no job of build ${buildId}`)
    return seen
  } finally {
    await sql.end({ timeout: 1 })
  }
}

/** What of the stack's builds is on the Docker daemon. */
export function leftOnDocker({ stackId, dockerHost }: Stack): string[] {
  const docker = (...args: string[]): string[] =>
    execFileSync('docker', ['-H', dockerHost, ...args, '--filter', `label=capstan=${stackId}`, '-q'], {
      encoding: 'utf8',
    })
      .split('\n')
      .filter(Boolean)
  return [...docker('ps', '-a'), ...docker('network', 'ls'), ...docker('volume', 'ls')]
}

export async function untilDockerIsEmpty(stack: Stack, withinMs = 60_000): Promise<string[]> {
  const deadline = Date.now() + withinMs
  for (;;) {
    const left = leftOnDocker(stack)
    if (left.length === 0 || Date.now() > deadline) return left
    await sleep(250)
  }
}

/** Kills a process of the stack, or every worker; supervision starts it again. */
export function kill({ processes }: Stack, name: 'worker' | 'control' | 'api' | 'redis'): void {
  for (const [known, supervised] of processes) {
    if (known === name || (name === 'worker' && known.startsWith('worker-'))) supervised.kill()
  }
}

/** The name of the process that runs this worker. */
export const processOf = (worker: string): string => (worker === 'worker-1' ? 'worker' : worker)
