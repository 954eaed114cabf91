import { BUILD_QUEUE } from '@capstan/migrations/messages'
import { Queue } from 'bullmq'
import { Redis } from 'ioredis'
import { randomUUID } from 'node:crypto'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createDockerEngine } from '../src/docker-engine.js'
import type { BuildWorld } from '../src/run-build.js'
import { takeBuilds } from '../src/take-builds.js'
import { androidProject } from './android-project.js'
import type { Bench } from './build-bench.js'
import { openBench } from './build-bench.js'
import { openEngineProxy } from './engine-proxy.js'

const redisUrl = process.env['TEST_REDIS_URL']
if (redisUrl === undefined) throw new Error('TEST_REDIS_URL is not set; `npm test` sets it.')

let bench: Bench
let connection: Redis
let queue: Queue
let taking: AsyncDisposable | undefined

beforeEach(async () => {
  bench = await openBench()
  connection = new Redis(redisUrl, { maxRetriesPerRequest: null })
  queue = new Queue(BUILD_QUEUE, { connection, prefix: `test-${randomUUID()}` })
})

afterEach(async () => {
  await taking?.[Symbol.asyncDispose]()
  taking = undefined
  await queue.obliterate({ force: true })
  await queue.close()
  connection.disconnect()
  expect(bench.api.violations).toEqual([])
  await bench[Symbol.asyncDispose]()
})

function take(world: Partial<BuildWorld> = {}): void {
  const { prefix } = queue.opts
  taking = takeBuilds({
    world: { ...bench.world, ...world },
    connection,
    concurrency: 2,
    retryMs: 200,
    ...(prefix && { prefix }),
  })
}

const ring = (buildId = bench.buildId) =>
  queue.add(
    'build',
    { v: 1, orgId: randomUUID(), buildId },
    { jobId: `build-${buildId}-1`, attempts: 1, removeOnComplete: true, removeOnFail: true },
  )

const untilEmpty = () =>
  expect.poll(async () => queue.getJobCountByTypes('waiting', 'active', 'delayed', 'failed')).toBe(0)

test('a build that is rung for is claimed, run and taken off the queue', async () => {
  bench.api.spec = { platform: 'web', type: null }
  bench.api.source = androidProject()
  take()
  await ring()
  await expect.poll(() => bench.api.finishes, { timeout: 180_000 }).toMatchObject([{ status: 'succeeded' }])
  await untilEmpty()
})

test('a build that another worker has is dropped', async () => {
  bench.api.isClaimed = true
  take()
  await ring()
  await untilEmpty()
  expect(bench.api.finishes).toEqual([])
})

test('an entry that is no build message is dropped', async () => {
  take()
  await queue.add('build', { v: 1, buildId: 'not-an-id', secret: 'x' }, { removeOnComplete: true })
  await untilEmpty()
  expect(bench.api.claims).toBe(0)
})

test('while the API is away the entry waits', async () => {
  bench.api.spec = { platform: 'ios' }
  bench.api.isDown = true
  take()
  await ring()
  await new Promise((resolve) => setTimeout(resolve, 1_000))
  bench.api.isDown = false
  await expect.poll(() => bench.api.finishes).toMatchObject([{ code: 'platform-unsupported' }])
})

test('while the container engine is away the build waits, its user is told, and it runs when the engine is back', async () => {
  await using proxy = await openEngineProxy({ isOpen: false })
  bench.api.spec = { platform: 'web', type: null }
  bench.api.source = androidProject()
  take({ engine: createDockerEngine(proxy.dockerHost) })
  await ring()
  await expect.poll(() => bench.api.waiting.length).toBeGreaterThan(1)
  expect(bench.api.waiting[0]).toMatchObject({ code: 'container-engine-unavailable' })
  expect(bench.api.claims).toBe(0)
  await proxy.open()
  await expect.poll(() => bench.api.finishes, { timeout: 180_000 }).toMatchObject([{ status: 'succeeded' }])
})

test('a running build is handed back when the worker stops', async () => {
  bench.api.source = androidProject({ scripts: { build: 'echo building && sleep 120' } })
  take()
  await ring()
  await expect.poll(() => bench.api.log, { timeout: 180_000 }).toContain('building')
  const stoppedAt = Date.now()
  await taking?.[Symbol.asyncDispose]()
  taking = undefined
  expect(Date.now() - stoppedAt).toBeLessThan(60_000)
  expect(bench.api.finishes).toMatchObject([{ code: 'worker-stopped', retryable: true }])
})
