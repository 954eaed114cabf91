import { setTimeout as sleep } from 'node:timers/promises'
import { artifacts, jobs, openDatabase, outbox, withOrg, type Listen, type OpenDatabase } from '@capstan/migrations'
import { BUILD_QUEUE } from '@capstan/migrations/messages'
import { Queue, Worker } from 'bullmq'
import { eq, isNull } from 'drizzle-orm'
import { Redis } from 'ioredis'
import { pino } from 'pino'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { openBuildQueue, QueueUnavailable, type BuildQueue } from '../src/control/build-queue.js'
import type { ControlDeps } from '../src/control/control-deps.js'
import { relayOutbox } from '../src/control/relay-outbox.js'
import { ringAgain } from '../src/control/ring-again.js'
import { startControl } from '../src/control/start-control.js'
import { sweepLeases } from '../src/control/sweep-leases.js'
import {
  auditActions,
  claim,
  claimed,
  createTestApp,
  declarationOf,
  jobOf,
  line,
  queueBuild,
  sourceZip,
  storeArtifact,
  type TestApp,
  type TestBuild,
  type TestWorker,
  underLease,
} from './build-fixture.js'
import { createFixture, type Fixture } from './fixture.js'
import { eventually, type OwnRedis, startOwnRedis } from './own-redis.js'

let own: OwnRedis
let fixture: Fixture
let app: TestApp
let worker: TestWorker
let database: OpenDatabase
let redis: Redis
let queue: BuildQueue
let deps: ControlDeps & { listen: Listen }
let entries: Queue
let now = Date.now()

/** Builds of earlier tests still wait. */
const wide = { perOrganization: 1_000, unknownCapacity: 1_000, workerReportMs: 20_000 }

beforeAll(async () => {
  own = await startOwnRedis()
  redis = new Redis(own.url, { enableOfflineQueue: false, maxRetriesPerRequest: 1, retryStrategy: () => 100 })
  redis.on('error', () => undefined)
  fixture = await createFixture({ overrides: { now: () => new Date(now), redis } })
  app = await createTestApp(fixture)
  worker = await fixture.createWorker()
  database = openDatabase({ url: fixture.databaseUrl('control'), poolSize: 4 })
  queue = openBuildQueue(redis, () => undefined)
  entries = new Queue(BUILD_QUEUE, { connection: redis })
  entries.on('error', () => undefined)
  const log = pino({ level: 'silent' })
  deps = {
    db: database.db,
    listen: database.listen,
    objects: fixture.deps.objects,
    queue,
    redis,
    staticParts: null,
    publicUrl: 'http://capstan.test',
    mailKey: null,
    log,
    now: () => new Date(now),
    outbound: fixture.deps.outbound,
  }
})
afterAll(async () => {
  await queue.close()
  await entries.close()
  redis.disconnect()
  await database[Symbol.asyncDispose]()
  await fixture[Symbol.asyncDispose]()
  await own[Symbol.asyncDispose]()
})
beforeEach(async () => {
  await eventually(async () => redis.status === 'ready')
  await relayOutbox(deps, wide)
  await redis.flushall()
})

const unsent = () => withOrg(fixture.deps.db, app.org.id, (tx) => tx.select().from(outbox).where(isNull(outbox.sentAt)))
const waiting = async () => (await entries.getJobs()).map((entry) => ({ id: entry.id, data: entry.data as unknown }))
const message = (build: TestBuild) => ({ v: 1, orgId: app.org.id, buildId: build.id })

describe('the relay', () => {
  test('rings once for a queued build, with ids and nothing else', async () => {
    const build = await queueBuild(fixture, app)
    expect(await relayOutbox(deps, wide)).toBe(1)
    expect(await waiting()).toEqual([{ id: `build-${build.id}-1`, data: message(build) }])
    expect(await jobOf(fixture, build)).toMatchObject({ status: 'pending', pendingAt: expect.any(String) })
    expect(await unsent()).toEqual([])
    expect(await relayOutbox(deps, wide)).toBe(0)
    expect(await waiting()).toHaveLength(1)
  })

  test('sends each row once when several relays run at once', async () => {
    const builds = []
    for (let count = 0; count < 5; count += 1) builds.push(await queueBuild(fixture, app))
    const sent = await Promise.all([relayOutbox(deps, wide), relayOutbox(deps, wide), relayOutbox(deps, wide)])
    expect(sent.reduce((sum, count) => sum + count, 0)).toBe(5)
    expect(new Set((await waiting()).map((entry) => entry.id))).toEqual(
      new Set(builds.map(({ id }) => `build-${id}-1`)),
    )
  })

  test('does not ring for a build that was canceled', async () => {
    const build = await queueBuild(fixture, app)
    await fixture.request('PATCH', `/v1/jobs/${build.jobId}`, { token: app.token, body: { status: 'canceled' } })
    expect(await relayOutbox(deps, wide)).toBe(1)
    expect(await waiting()).toEqual([])
    expect(await jobOf(fixture, build)).toMatchObject({ status: 'canceled' })
  })

  test('sets aside a row that it does not understand, and goes on', async () => {
    await withOrg(fixture.deps.db, app.org.id, (tx) =>
      tx.insert(outbox).values({ orgId: app.org.id, topic: 'build.queued', payload: { v: 9 } }),
    )
    const build = await queueBuild(fixture, app)
    expect(await relayOutbox(deps, wide)).toBe(2)
    expect((await waiting()).map((entry) => entry.id)).toEqual([`build-${build.id}-1`])
  })

  test('keeps rows while Redis is away, and sends them when it is back', async () => {
    await own.kill()
    await eventually(async () => redis.status !== 'ready')
    const build = await queueBuild(fixture, app)
    await expect(relayOutbox(deps, wide)).rejects.toThrow(QueueUnavailable)
    expect(await unsent()).toHaveLength(1)
    expect(await jobOf(fixture, build)).toMatchObject({ status: 'queued' })
    await own.start()
    await eventually(async () => redis.status === 'ready')
    expect(await relayOutbox(deps, wide)).toBe(1)
    expect((await waiting()).map((entry) => entry.id)).toEqual([`build-${build.id}-1`])
  })

  test('gives up on a Redis that is frozen, without holding the row', async () => {
    const build = await queueBuild(fixture, app)
    own.freeze()
    try {
      await expect(relayOutbox(deps, wide)).rejects.toThrow(QueueUnavailable)
      expect(await jobOf(fixture, build)).toMatchObject({ status: 'queued' })
      const canceled = await fixture.request('PATCH', `/v1/jobs/${build.jobId}`, {
        token: app.token,
        body: { status: 'canceled' },
      })
      expect(canceled.status).toBe(200)
    } finally {
      own.thaw()
    }
  })
})

describe('an entry', () => {
  test('is gone from Redis once a worker has taken it, so that the build can be rung for again', async () => {
    const build = await queueBuild(fixture, app)
    await relayOutbox(deps, wide)
    const taker = new Worker(BUILD_QUEUE, () => Promise.resolve(), {
      connection: new Redis(own.url, { maxRetriesPerRequest: null }),
    })
    await eventually(async () => (await waiting()).length === 0)
    await taker.close(true)
    expect(await queue.has(build.id, 1)).toBe(false)
    await queue.ring({ v: 1, orgId: app.org.id, buildId: build.id }, 1)
    expect(await queue.has(build.id, 1)).toBe(true)
  })
})

describe('ringing again', () => {
  test('replaces entries that Redis lost, and only those', async () => {
    const lost = await queueBuild(fixture, app)
    await relayOutbox(deps, wide)
    await redis.flushall()
    const kept = await queueBuild(fixture, app)
    await relayOutbox(deps, wide)
    now = Date.now() + 20_000
    expect(await ringAgain(deps, 15_000)).toBeGreaterThanOrEqual(1)
    const ids = (await waiting()).map((entry) => entry.id)
    expect(ids).toContain(`build-${lost.id}-1`)
    expect(ids.filter((id) => id === `build-${kept.id}-1`)).toHaveLength(1)
    expect(await ringAgain(deps, 15_000)).toBe(0)
  })

  test('leaves alone what has just been rung, runs or has ended', async () => {
    const fresh = await queueBuild(fixture, app)
    const running = await queueBuild(fixture, app)
    await relayOutbox(deps, wide)
    await claimed(fixture, worker, running.id)
    await redis.flushall()
    now = Date.now()
    await ringAgain(deps, 15_000)
    const ids = (await waiting()).map((entry) => entry.id)
    expect(ids).not.toContain(`build-${fresh.id}-1`)
    expect(ids).not.toContain(`build-${running.id}-1`)
  })
})

describe('the sweeper', () => {
  async function loseWorker(build: TestBuild) {
    const taken = await claimed(fixture, worker, build.id)
    await underLease(fixture, taken, 'logs', { batch: 1, lines: [line(`attempt ${taken.attempt}`)] })
    now += 61_000
    return taken
  }

  test('leaves live leases alone', async () => {
    const build = await queueBuild(fixture, app)
    await claimed(fixture, worker, build.id)
    now += 59_000
    await sweepLeases(deps)
    expect(await jobOf(fixture, build)).toMatchObject({ status: 'in_progress', attempt: 1 })
  })

  test('gives a lost build to another worker, once, with one set of artefacts', async () => {
    const build = await queueBuild(fixture, app)
    await relayOutbox(deps, wide)
    const zombie = await claimed(fixture, worker, build.id)
    const lost = await storeArtifact(fixture, zombie, sourceZip('lost'))
    now += 61_000
    expect(await sweepLeases(deps)).toBeGreaterThanOrEqual(1)
    expect(await jobOf(fixture, build)).toMatchObject({ status: 'queued', statusCode: 'worker-lost', attempt: 1 })
    await relayOutbox(deps, wide)
    expect((await waiting()).map((entry) => entry.id)).toContain(`build-${build.id}-2`)
    const next = await claimed(fixture, await fixture.createWorker(), build.id)
    expect((await underLease(fixture, zombie, 'artifacts', declarationOf(sourceZip('late')))).status).toBe(409)
    const kept = await storeArtifact(fixture, next, sourceZip('kept'))
    await underLease(fixture, next, 'finish', { status: 'succeeded' })
    const rows = await withOrg(fixture.deps.db, app.org.id, (tx) =>
      tx.select().from(artifacts).where(eq(artifacts.buildId, build.id)),
    )
    expect(Object.fromEntries(rows.map((row) => [row.id, row.status]))).toEqual({
      [lost]: 'discarded',
      [kept]: 'ready',
    })
    const { jobLogs } = (await jobOf(fixture, build, 'jobLogs')) as { jobLogs: { payload: string }[] }
    expect(jobLogs.map((entry) => entry.payload)).toEqual([
      'The worker "test-worker" stopped answering. The build starts again: attempt 2 of 2.',
    ])
    expect(await auditActions(fixture, app.org.id)).toContain('build.retried')
  })

  test('fails a build whose second worker is lost too', async () => {
    const build = await queueBuild(fixture, app)
    await loseWorker(build)
    await sweepLeases(deps)
    await loseWorker(build)
    await sweepLeases(deps)
    expect(await jobOf(fixture, build)).toMatchObject({
      status: 'failed',
      statusCode: 'worker-lost',
      finishedAt: expect.any(String),
    })
    expect((await claim(fixture, worker, build.id)).status).toBe(409)
  })

  test('ends a build as canceled when that was asked before its worker was lost', async () => {
    const build = await queueBuild(fixture, app)
    await claimed(fixture, worker, build.id)
    await fixture.request('PATCH', `/v1/jobs/${build.jobId}`, { token: app.token, body: { status: 'canceled' } })
    now += 61_000
    await sweepLeases(deps)
    expect(await jobOf(fixture, build)).toMatchObject({ status: 'canceled' })
  })

  test('looks again under the lock: a heartbeat that came in between saves the attempt', async () => {
    const build = await queueBuild(fixture, app)
    const taken = await claimed(fixture, worker, build.id)
    let looks = 0
    const now61 = now + 61_000
    const heartbeatBetween = { ...deps, now: () => new Date(looks++ === 0 ? now61 : now61 - 5_000) }
    await sweepLeases(heartbeatBetween)
    expect(looks).toBeGreaterThan(1)
    expect(await jobOf(fixture, build)).toMatchObject({ status: 'in_progress', attempt: taken.attempt })
  })

  test('and several at once end an attempt once', async () => {
    const build = await queueBuild(fixture, app)
    await loseWorker(build)
    await sleep(0)
    await Promise.all([sweepLeases(deps), sweepLeases(deps), sweepLeases(deps)])
    const rows = await withOrg(fixture.deps.db, app.org.id, (tx) => tx.select().from(outbox))
    expect(rows.filter((row) => row.payload.buildId === build.id)).toHaveLength(2)
    expect(await jobOf(fixture, build)).toMatchObject({ status: 'queued', attempt: 1 })
  })
})

describe('the control process', () => {
  test('is ready after its first passes, rings by itself and stops', async () => {
    now = Date.now()
    const control = startControl(deps, { relayMs: 20, sweepMs: 20 })
    await control.ready
    const build = await queueBuild(fixture, app)
    await eventually(async () => (await waiting()).some((entry) => entry.id === `build-${build.id}-1`))
    await control[Symbol.asyncDispose]()
    const after = await queueBuild(fixture, app)
    await sleep(100)
    expect(await jobOf(fixture, after)).toMatchObject({ status: 'queued' })
  })

  test('rings for a build when it is requested, long before its next look', async () => {
    now = Date.now()
    const control = startControl(deps, { relayMs: 10 * 60_000, sweepMs: 20 })
    await control.ready
    const build = await queueBuild(fixture, app)
    await eventually(async () => (await jobOf(fixture, build)).status === 'pending')
    await control[Symbol.asyncDispose]()
  })

  test('is ready while Redis is away, and catches up', async () => {
    await own.kill()
    const build = await queueBuild(fixture, app)
    const control = startControl(deps, { relayMs: 20, sweepMs: 20 })
    await control.ready
    expect(await jobOf(fixture, build)).toMatchObject({ status: 'queued' })
    await own.start()
    await eventually(async () => (await jobOf(fixture, build)).status === 'pending')
    await control[Symbol.asyncDispose]()
  })

  test('may not read who signs in and how, nor change credentials, workers or the audit chain', async () => {
    const refused = [
      database.sql`select * from api_tokens`,
      database.sql`select * from sessions`,
      database.sql`select * from user_passwords`,
      database.sql`select * from workers`,
      database.sql`update credentials set name = name`,
      database.sql`delete from credential_versions`,
      database.sql`delete from audit_events`,
    ]
    for (const query of refused) await expect(query).rejects.toThrow(/permission denied/)
    expect(await database.db.select().from(jobs).limit(1)).toHaveLength(1)
  })
})
