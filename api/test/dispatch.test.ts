import { jobs, openDatabase, organizations, type OpenDatabase, withLookup, withOrg, workers } from '@capstan/migrations'
import { and, eq, inArray } from 'drizzle-orm'
import { pino } from 'pino'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { BuildQueue } from '../src/control/build-queue.js'
import type { ControlDeps } from '../src/control/control-deps.js'
import { endOverdue } from '../src/control/end-overdue.js'
import { dispatchLimits, relayOutbox } from '../src/control/relay-outbox.js'
import {
  claimed,
  createTestApp,
  jobOf,
  queueBuild,
  type TestApp,
  type TestWorker,
  underLease,
  uploadSource,
} from './build-fixture.js'
import { createFixture, type Fixture } from './fixture.js'

let fixture: Fixture
let database: OpenDatabase
let deps: ControlDeps
let worker: TestWorker
let rung: { buildId: string; pool: string | undefined }[] = []
let offsetMs = 0
const now = () => new Date(Date.now() + offsetMs)

/** The bells alone: what Redis does with them is shown elsewhere. */
const queue: BuildQueue = {
  ring: async ({ buildId }, _attempt, pool) => void rung.push({ buildId, pool }),
  has: () => Promise.resolve(true),
  close: () => Promise.resolve(),
}

beforeAll(async () => {
  fixture = await createFixture({ overrides: { now } })
  worker = await fixture.createWorker()
  database = openDatabase({ url: fixture.databaseUrl('control'), poolSize: 4 })
  const log = pino({ level: 'silent' })
  deps = {
    db: database.db,
    objects: fixture.deps.objects,
    queue,
    redis: fixture.deps.redis,
    staticParts: null,
    publicUrl: 'http://capstan.test',
    mailKey: null,
    log,
    now,
    outbound: fixture.deps.outbound,
  }
})
afterAll(async () => {
  await database[Symbol.asyncDispose]()
  await fixture[Symbol.asyncDispose]()
})
beforeEach(async () => {
  rung = []
  offsetMs = 0
  // Earlier tests leave nothing that waits.
  await using owner = openDatabase({ url: fixture.ownerUrl, poolSize: 1 })
  await owner.sql`update jobs set status = 'canceled', finished_at = now() where finished_at is null`
  await owner.sql`update workers set reported_at = null`
})

const relay = (limits: Partial<typeof dispatchLimits> = {}) => relayOutbox(deps, { ...dispatchLimits, ...limits })
const report = (capabilities: string[], slots: number, token = worker.token) =>
  fixture.request('POST', '/worker/v1/report', { token, body: { worker: 'test-worker', capabilities, slots } })

/** Waiting builds of one app, straight into the tables. */
async function pileUp(app: TestApp, count: number): Promise<void> {
  const sourceId = await uploadSource(fixture, app)
  await using owner = openDatabase({ url: fixture.ownerUrl, poolSize: 1 })
  await owner.sql`
    with made as (
      insert into builds (id, org_id, app_id, number, platform, build_source_id)
      select gen_random_uuid(), ${app.org.id}, ${app.id}, 100000 + n, 'web', ${sourceId}
      from generate_series(1, ${count}::int) n returning id, org_id, app_id)
    insert into jobs (id, org_id, app_id, build_id) select gen_random_uuid(), org_id, app_id, id from made`
}

describe('dispatch', () => {
  test('10,000 builds of one organization do not delay the first of another', async () => {
    const [crowd, other] = [await createTestApp(fixture), await createTestApp(fixture)]
    await report(['android', 'web'], 4)
    await pileUp(crowd, 10_000)
    await relay()
    const before = rung.length
    expect(before).toBeGreaterThan(0)
    expect(before).toBeLessThanOrEqual(6)
    const first = await queueBuild(fixture, other)
    // One build of the crowd is done: the place that it leaves is the other organization's.
    const taken = await claimed(fixture, worker, rung[0]!.buildId)
    await underLease(fixture, taken, 'finish', { status: 'failed', code: 'x', message: 'x' })
    await relay()
    expect(rung.slice(before).map(({ buildId }) => buildId)).toContain(first.id)
    expect(rung.at(before)?.buildId).toBe(first.id)
  })

  test('shares what there is evenly among organizations that wait', async () => {
    const apps = [await createTestApp(fixture), await createTestApp(fixture), await createTestApp(fixture)]
    for (const app of apps) await pileUp(app, 20)
    await relay({ unknownCapacity: 9 })
    expect(rung).toHaveLength(9)
    for (const app of apps) {
      const pending = and(eq(jobs.appId, app.id), eq(jobs.status, 'pending'))
      expect(await withOrg(fixture.deps.db, app.org.id, (tx) => tx.$count(jobs, pending))).toBe(3)
    }
  })

  test('gives an organization no more at once than it may have, also when there is room', async () => {
    const app = await createTestApp(fixture)
    await pileUp(app, 10)
    await relay({ perOrganization: 2 })
    expect(rung).toHaveLength(2)
    await relay({ perOrganization: 2 })
    expect(rung).toHaveLength(2)
    await withOrg(fixture.deps.db, app.org.id, (tx) =>
      tx.update(organizations).set({ maxConcurrentBuilds: 5 }).where(eq(organizations.id, app.org.id)),
    )
    await relay({ perOrganization: 2 })
    expect(rung).toHaveLength(5)
  })

  test('takes a build of high priority first, until another has waited longer than that is worth', async () => {
    const app = await createTestApp(fixture)
    const low = await queueBuild(fixture, app, { priority: 'low' })
    const normal = await queueBuild(fixture, app)
    const high = await queueBuild(fixture, app, { priority: 'high' })
    await relay({ unknownCapacity: 2 })
    expect(rung.map(({ buildId }) => buildId)).toEqual([high.id, normal.id])
    offsetMs = 31 * 60_000
    const later = await queueBuild(fixture, app, { priority: 'high' })
    await relay({ unknownCapacity: 4 })
    expect(rung.slice(2).map(({ buildId }) => buildId)).toEqual([low.id, later.id])
  })

  test('says so when a build has waited for a day, and ends one that a worker keeps beyond its time', async () => {
    const app = await createTestApp(fixture)
    const waiting = await queueBuild(fixture, app)
    const running = await queueBuild(fixture, app, { timeoutInMinutes: 10 })
    const taken = await claimed(fixture, worker, running.id)
    expect(taken.spec.limits.wallClockMs).toBe(10 * 60_000)
    expect(await endOverdue(deps)).toBe(0)
    offsetMs = 16 * 60_000
    expect(await endOverdue(deps)).toBe(1)
    expect(await jobOf(fixture, running)).toMatchObject({ status: 'timed_out', statusCode: 'timed-out' })
    expect((await underLease(fixture, taken, 'heartbeat')).status).toBe(409)
    expect(await jobOf(fixture, waiting)).toMatchObject({ status: 'queued' })
    offsetMs = 25 * 60 * 60_000
    expect(await endOverdue(deps)).toBe(1)
    offsetMs = 0
    expect(await jobOf(fixture, waiting)).toMatchObject({ status: 'rejected', statusCode: 'queue-timeout' })
  })
})

describe('a build for iOS', () => {
  const request = async (app: TestApp) =>
    fixture.request('POST', `/v1/apps/${app.id}/builds`, {
      token: app.token,
      body: { platform: 'ios', type: 'simulator', appBuildSourceId: await uploadSource(fixture, app) },
    })

  test('is refused at once while no worker with macOS is there, and when it has gone away', async () => {
    const app = await createTestApp(fixture)
    const refused = async () => {
      const answer = await request(app)
      expect(answer.status).toBe(422)
      expect(await answer.json()).toMatchObject({
        code: 'build-platform-unavailable',
        message: expect.stringContaining('macOS'),
      })
    }
    await report(['android', 'web'], 2)
    await refused()
    await report(['macos'], 1)
    expect((await request(app)).status).toBe(201)
    offsetMs = 61_000
    await refused()
  })

  test('is rung for in the pool of those workers, and given to none of the others', async () => {
    const app = await createTestApp(fixture)
    const mac = await fixture.createWorker()
    const answer = await report(['macos'], 1, mac.token)
    expect(await answer.json()).toEqual({ nextReportMs: 20_000, queues: ['builds-macos'] })
    expect(await (await report(['web', 'macos'], 1)).json()).toMatchObject({ queues: ['builds', 'builds-macos'] })
    const { id } = await (await request(app)).json<{ id: string }>()
    await relay()
    expect(rung).toEqual([{ buildId: id, pool: 'macos' }])
    const claimAs = (capabilities: string[]) =>
      fixture.request('POST', `/worker/v1/builds/${id}/claim`, {
        token: mac.token,
        body: { worker: 'mac', capabilities },
      })
    expect((await claimAs(['android', 'web'])).status).toBe(409)
    const taken = await claimAs(['macos'])
    expect(await taken.json()).toMatchObject({ spec: { platform: 'ios', type: 'simulator' } })
  })

  test('that is signed needs a certificate', async () => {
    const app = await createTestApp(fixture)
    await report(['macos'], 1)
    const body = { platform: 'ios', type: 'app-store', appBuildSourceId: await uploadSource(fixture, app) }
    const answer = await fixture.request('POST', `/v1/apps/${app.id}/builds`, { token: app.token, body })
    expect(await answer.json()).toMatchObject({ code: 'certificate-missing' })
  })
})

test('a report is taken from a worker alone', async () => {
  const app = await createTestApp(fixture)
  expect((await report(['web'], 1, app.token)).status).toBe(401)
  expect((await report([], 1)).status).toBe(422)
  expect((await report(['root'], 1)).status).toBe(422)
  expect((await report(['web'], 3)).status).toBe(200)
  const hashes = await withLookup(fixture.deps.db, 'capability:web', (tx) =>
    tx
      .select({ slots: workers.slots })
      .from(workers)
      .where(inArray(workers.id, [worker.id])),
  )
  expect(hashes).toEqual([{ slots: 3 }])
})
