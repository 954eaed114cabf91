import { execFileSync } from 'node:child_process'
import postgres from 'postgres'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readConfig } from '../src/config.js'
import { startStack, type Stack } from '../src/stack/start-stack.js'
import { BuildClient } from './build-client.js'
import { builderImage } from './builder-image.js'

let stack: Stack
let client: BuildClient
const crashes: string[] = []

beforeAll(async () => {
  stack = await startStack({
    config: { ...readConfig(), databaseUrl: undefined, redisUrl: undefined },
    say: (line) => crashes.push(line),
    ports: 'free',
    builderImage: builderImage(),
    overrides: {
      // Long enough for an API that starts anew on a busy machine; a killed worker is missed after it.
      api: { LEASE_MS: '15000' },
      control: { SWEEP_MS: '300', RELAY_MS: '200' },
      worker: { HEARTBEAT_MS: '500', DOCKER_RETRY_MS: '500' },
    },
  })
  client = new BuildClient(stack)
}, 120_000)
afterAll(() => stack?.stop(), 60_000)

async function row<T>(query: string, buildId: string): Promise<T> {
  const sql = postgres(stack.databaseUrl, { max: 1, onnotice: () => {} })
  try {
    return (await sql.unsafe(query, [buildId]))[0] as T
  } finally {
    await sql.end({ timeout: 1 })
  }
}

const attemptsOf = async (buildId: string): Promise<number> =>
  (await row<{ attempt: number }>('select attempt from jobs where build_id = $1', buildId)).attempt

const artifactsOf = async (buildId: string): Promise<number> =>
  (await row<{ n: number }>('select count(*)::int as n from artifacts where build_id = $1', buildId)).n

/** What of the stack's builds is still on the Docker daemon. */
function leftOnDocker(): string[] {
  const label = ['--filter', `label=capstan=${stack.stackId}`, '-q']
  const docker = (...args: string[]) => execFileSync('docker', [...args, ...label], { encoding: 'utf8' })
  const found = [docker('ps', '-a'), docker('network', 'ls'), docker('volume', 'ls')]
  return found.flatMap((printed) => printed.split('\n').filter(Boolean))
}

async function startBuild(seconds: number): Promise<{ appId: string; buildId: string }> {
  const appId = await client.createApp()
  const buildId = await client.requestBuild(appId, seconds)
  await client.untilLogged(appId, buildId, 'left: ')
  return { appId, buildId }
}

test('a build goes through once when nothing fails', async () => {
  const { appId, buildId } = await startBuild(1)
  const build = await client.untilEnded(appId, buildId)
  expect(build.job.status).toBe('succeeded')
  expect(build.appBuildArtifacts).toMatchObject([{ type: 'zip', status: 'ready' }])
  expect(await attemptsOf(buildId)).toBe(1)
}, 180_000)

test('a worker killed with -9 mid-build: the build is retried once and leaves one set of artefacts', async () => {
  const { appId, buildId } = await startBuild(8)
  stack.processes.get('worker')!.kill()
  const build = await client.untilEnded(appId, buildId)
  expect(build.job.status).toBe('succeeded')
  expect(await attemptsOf(buildId)).toBe(2)
  expect(build.appBuildArtifacts).toMatchObject([{ type: 'zip', status: 'ready' }])
  expect(await artifactsOf(buildId)).toBe(1)
  expect(crashes.some((line) => line.startsWith('worker ended unexpectedly (SIGKILL)'))).toBe(true)
}, 180_000)

test('Redis killed and started again mid-build: nothing is lost', async () => {
  const { appId, buildId } = await startBuild(5)
  const waitingApp = await client.createApp()
  const waiting = await client.requestBuild(waitingApp, 1)
  stack.processes.get('redis')!.kill()
  const build = await client.untilEnded(appId, buildId)
  expect(build.job.status).toBe('succeeded')
  expect(await attemptsOf(buildId)).toBe(1)
  expect((await client.untilEnded(waitingApp, waiting)).job.status).toBe('succeeded')
}, 180_000)

test('the API killed and started again mid-build: the build goes on and its log is whole', async () => {
  const { appId, buildId } = await startBuild(5)
  stack.processes.get('api')!.kill()
  await expect
    .poll(
      () =>
        fetch(`${stack.apiUrl}/v1/users/me`).then(
          (r) => r.status,
          () => 0,
        ),
      { timeout: 60_000 },
    )
    .toBe(401)
  const build = await client.untilEnded(appId, buildId)
  expect(build.job.status).toBe('succeeded')
  expect(await attemptsOf(buildId)).toBe(1)
  const counted = (await client.log(appId, buildId)).flatMap((line) => /left: (\d)/.exec(line)?.[1] ?? [])
  expect(counted).toEqual(['5', '4', '3', '2', '1', '0'])
}, 180_000)

test('control killed and started again mid-build: the build ends once, and the next one is handed out', async () => {
  const { appId, buildId } = await startBuild(4)
  stack.processes.get('control')!.kill()
  const next = await client.requestBuild(appId, 1)
  expect((await client.untilEnded(appId, buildId)).job.status).toBe('succeeded')
  expect(await attemptsOf(buildId)).toBe(1)
  expect((await client.untilEnded(appId, next)).job.status).toBe('succeeded')
}, 180_000)

test('a worker that was stopped for longer than its lease comes back to a build that is no longer its own', async () => {
  const { appId, buildId } = await startBuild(6)
  const { pid } = stack.processes.get('worker')!
  process.kill(pid!, 'SIGSTOP')
  try {
    const lost = "select (status <> 'in_progress')::bool as lost from jobs where build_id = $1"
    await expect
      .poll(async () => (await row<{ lost: boolean }>(lost, buildId)).lost, { timeout: 60_000, interval: 500 })
      .toBe(true)
  } finally {
    process.kill(pid!, 'SIGCONT')
  }
  const build = await client.untilEnded(appId, buildId)
  expect(build.job.status).toBe('succeeded')
  expect(await attemptsOf(buildId)).toBe(2)
  expect(await artifactsOf(buildId)).toBe(1)
  // The first attempt's lines end where it was stopped; the second says every second once.
  const counted = (await client.log(appId, buildId)).flatMap((line) => /left: (\d)/.exec(line)?.[1] ?? [])
  expect(counted.slice(-7)).toEqual(['6', '5', '4', '3', '2', '1', '0'])
}, 180_000)

test('ten seconds after the last build nothing of any of them is left on the Docker daemon', async () => {
  await expect.poll(leftOnDocker, { timeout: 10_000, interval: 500 }).toEqual([])
})
