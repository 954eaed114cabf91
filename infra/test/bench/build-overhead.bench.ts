import { setTimeout as sleep } from 'node:timers/promises'
import postgres from 'postgres'
import { expect, test } from 'vitest'
import { readConfig } from '../../src/config.js'
import { askDocker } from '../../src/stack/ask-docker.js'
import { startStack, type Stack } from '../../src/stack/start-stack.js'
import { BuildClient } from '../build-client.js'
import { builtWebsite } from '../small-project.js'
import { quantile, report } from './report.js'

const ROUNDS = 25
const CANCELS = 6

test('a build that does nothing, over the same container created, started, waited for and removed', async () => {
  const config = { ...readConfig(), databaseUrl: undefined, redisUrl: undefined, extraCaFile: undefined }
  const stack = await startStack({ config, say: () => undefined, ports: 'free' })
  const sql = postgres(stack.databaseUrl, { max: 2, onnotice: () => {} })
  try {
    const client = new BuildClient(stack)
    const appId = await client.createApp()
    const sourceId = await client.uploadSource(appId, builtWebsite())
    const rounds: Round[] = []
    const profile = await profileOfBuild(stack, client, appId, sourceId)
    for (let round = 0; round < ROUNDS; round += 1) {
      const bare = await timed(() => runBare(stack.dockerHost, profile))
      rounds.push({ bare, ...(await measureBuild(stack, client, sql, appId, sourceId)) })
    }
    const median = (name: keyof Round) =>
      quantile(
        rounds.slice(2).map((round) => round[name]),
        0.5,
      )
    report({
      name: 'no-op-build',
      bareContainerMs: median('bare'),
      requestToEndMs: median('end'),
      addedMs: quantile(
        rounds.slice(2).map(({ bare, end }) => end - bare),
        0.5,
      ),
      ratio: Number((median('end') / median('bare')).toFixed(2)),
      requestToClaimMs: median('claim'),
      requestToContainerStartedMs: median('container'),
      prepareMs: median('prepare'),
      fetchMs: median('fetch'),
      uploadMs: median('upload'),
      finishMs: median('finish'),
    })
    const cancels: number[] = []
    for (let round = 0; round < CANCELS; round += 1) cancels.push(await measureCancel(stack, client, appId))
    report({
      name: 'cancel-to-container-ended',
      medianMs: quantile(cancels, 0.5),
      longestMs: Math.round(Math.max(...cancels)),
      goalMs: 5_000,
    })
  } finally {
    await sql.end({ timeout: 1 })
    await stack.stop()
  }
})

type Round = Record<'bare' | 'claim' | 'container' | 'prepare' | 'fetch' | 'upload' | 'finish' | 'end', number>

async function timed(work: () => Promise<void>): Promise<number> {
  const start = performance.now()
  await work()
  return performance.now() - start
}

type Profile = { Image: string; HostConfig: object; User: string }

/** What a build's own container is created with, as the engine tells while one runs. */
async function profileOfBuild(stack: Stack, client: BuildClient, appId: string, sourceId: string): Promise<Profile> {
  const buildId = await client.requestWebBuild(appId, sourceId)
  for (const deadline = Date.now() + 60_000; Date.now() < deadline; await sleep(5)) {
    const { status, body } = await askDocker(stack.dockerHost, 'GET', `/containers/capstan-${buildId}-1-build/json`)
    if (status !== 200) continue
    const { Image, HostConfig, Config } = JSON.parse(body) as {
      Image: string
      HostConfig: object
      Config: { User: string }
    }
    await client.untilEnded(appId, buildId)
    return { Image, HostConfig, User: Config.User }
  }
  throw new Error('the container of the build was never seen')
}

async function runBare(dockerHost: string, profile: Profile): Promise<void> {
  const json = { ...profile, Cmd: ['true'] }
  const created = await askDocker(dockerHost, 'POST', '/containers/create', { json })
  const { Id } = JSON.parse(created.body) as { Id: string }
  await askDocker(dockerHost, 'POST', `/containers/${Id}/start`)
  await askDocker(dockerHost, 'POST', `/containers/${Id}/wait`)
  await askDocker(dockerHost, 'DELETE', `/containers/${Id}?v=1`)
}

/** Times after the request, by the clocks of this process, of the database and of the container engine: all one machine's. */
async function measureBuild(
  stack: Stack,
  client: BuildClient,
  sql: postgres.Sql,
  appId: string,
  sourceId: string,
): Promise<Omit<Round, 'bare'>> {
  const requestedAt = Date.now()
  const buildId = await client.requestWebBuild(appId, sourceId)
  const containerAt = containerStart(stack.dockerHost, buildId)
  const { job } = await client.untilEnded(appId, buildId)
  expect(job.status).toBe('succeeded')
  const [row] = await sql<{ claim: Date; end: Date }[]>`
    select in_progress_at as claim, finished_at as end from jobs where build_id = ${buildId}`
  const phases = await sql<{ phase: string; ms: number; finished: Date }[]>`
    select p.phase, (extract(epoch from p.finished_at - p.started_at) * 1000)::float8 as ms, p.finished_at as finished
    from job_phases p join jobs j on j.id = p.job_id where j.build_id = ${buildId}`
  if (!row) throw new Error('the build has no job')
  const took = (name: string) => phases.find(({ phase }) => phase === name)?.ms ?? Number.NaN
  const uploaded = phases.find(({ phase }) => phase === 'upload')?.finished ?? new Date(Number.NaN)
  return {
    claim: row.claim.getTime() - requestedAt,
    container: (await containerAt) - requestedAt,
    prepare: took('prepare'),
    fetch: took('fetch-source'),
    upload: took('upload'),
    finish: row.end.getTime() - uploaded.getTime(),
    end: row.end.getTime() - requestedAt,
  }
}

async function measureCancel(stack: Stack, client: BuildClient, appId: string): Promise<number> {
  const buildId = await client.requestBuild(appId, 120)
  await client.untilLogged(appId, buildId, 'left: ')
  const { job } = await client.build(appId, buildId)
  return timed(async () => {
    await client.cancel(job.id)
    const path = `/containers/capstan-${buildId}-1-build/json`
    for (const deadline = Date.now() + 60_000; Date.now() < deadline; await sleep(20)) {
      const { status, body } = await askDocker(stack.dockerHost, 'GET', path)
      if (status === 404 || !(JSON.parse(body) as { State: { Running: boolean } }).State.Running) return
    }
    throw new Error('the container of the canceled build was still there after a minute')
  })
}

async function containerStart(dockerHost: string, buildId: string): Promise<number> {
  for (const deadline = Date.now() + 60_000; Date.now() < deadline; await sleep(10)) {
    const { status, body } = await askDocker(dockerHost, 'GET', `/containers/capstan-${buildId}-1-build/json`)
    if (status !== 200) continue
    const { State } = JSON.parse(body) as { State: { Running: boolean; StartedAt: string } }
    if (State.Running) return Date.parse(State.StartedAt)
  }
  return Number.NaN
}
