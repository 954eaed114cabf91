import {
  appActivity,
  deviceTokens,
  devices,
  launchCounts,
  launchResults,
  newId,
  type OpenDatabase,
  openDatabase,
  withOrg,
} from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { pino } from 'pino'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { ControlDeps } from '../src/control/control-deps.js'
import { recordActivity } from '../src/control/record-activity.js'
import { sweepTelemetry } from '../src/control/sweep-telemetry.js'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'
import { android, type Body, createLiveUpdateApp, type LiveUpdateApp, refusal, zipOf } from './live-update-app.js'

const DAY = 24 * 60 * 60_000
const now = new Date('2027-03-01T10:20:30Z')

let fixture: Fixture
let org: TestOrganization
let app: LiveUpdateApp
let database: OpenDatabase
let control: ControlDeps
let bundleId: string
let deploymentId: string
let counter = 0

beforeAll(async () => {
  fixture = await createFixture()
  org = await fixture.createOrganization()
  database = openDatabase({ url: fixture.databaseUrl('control'), poolSize: 2 })
  control = { db: database.db, log: pino({ level: 'silent' }), now: () => now } as ControlDeps
})
beforeEach(async () => {
  counter += 1
  app = await createLiveUpdateApp(fixture, org)
  await app.must('POST', '/channels', { name: 'production' })
  const content = zipOf({ 'index.html': `insight ${counter}` })
  const { bundle, response } = await app.publishZip(content, { bundle: { channelName: 'production' } })
  bundleId = bundle.id
  deploymentId = (await response.json<Body>()).appDeploymentId
})
afterAll(async () => {
  await database[Symbol.asyncDispose]()
  await fixture[Symbol.asyncDispose]()
})

type Seen = { daysAgo: number; bundleId?: string | null; platform?: number; appVersionName?: string | null }

async function seeDevices(...seen: Seen[]): Promise<void> {
  await withOrg(fixture.deps.db, org.id, (tx) =>
    tx.insert(devices).values(
      seen.map(({ daysAgo, bundleId: runs = null, platform = 0, appVersionName = '1.0.0' }) => ({
        orgId: org.id,
        appId: app.appId,
        id: newId(),
        platform,
        appVersionName,
        bundleId: runs,
        lastSeenAt: new Date(now.getTime() - daysAgo * DAY),
      })),
    ),
  )
}

const activity = (query = `from=2027-03-01T00:00:00Z&to=2027-03-02T00:00:00Z`) =>
  app.must<Body[]>('GET', `/activity?${query}`)

describe('activity', () => {
  test('says how many devices were active, and what those of the last day ran', async () => {
    await seeDevices(
      { daysAgo: 0.1, bundleId },
      { daysAgo: 0.2, bundleId, platform: 1, appVersionName: '2.0.0' },
      { daysAgo: 0.3 },
      { daysAgo: 0.3, bundleId: newId() },
      { daysAgo: 3, bundleId },
      { daysAgo: 20, bundleId },
      { daysAgo: 40, bundleId },
    )
    await recordActivity(control)
    expect(await activity()).toEqual([
      {
        at: '2027-03-01T10:00:00.000Z',
        activeDevices: { day: 4, week: 5, month: 6 },
        bundles: [
          { bundleId, devices: 2 },
          { bundleId: null, devices: 2 },
        ],
        versions: [
          { platform: 0, appVersionName: '1.0.0', devices: 3 },
          { platform: 1, appVersionName: '2.0.0', devices: 1 },
        ],
      },
    ])
  })

  test('of the running hour is written anew, and an hour is added with the next', async () => {
    await seeDevices({ daysAgo: 0 })
    await recordActivity(control)
    await seeDevices({ daysAgo: 0 })
    await recordActivity(control)
    expect(await activity()).toMatchObject([{ activeDevices: { day: 2 } }])
    await recordActivity({ ...control, now: () => new Date(now.getTime() + 60 * 60_000) })
    expect((await activity()).map((hour) => hour['at'])).toEqual([
      '2027-03-01T10:00:00.000Z',
      '2027-03-01T11:00:00.000Z',
    ])
    expect(await activity('from=2027-03-01T11:00:00Z&to=2027-03-02T00:00:00Z')).toHaveLength(1)
  })

  test('lists a bounded number of what devices say about themselves', async () => {
    await seeDevices(...Array.from({ length: 60 }, (_, index) => ({ daysAgo: 0, appVersionName: `1.0.${index}` })))
    await recordActivity(control)
    const [hour] = await activity()
    expect(hour).toMatchObject({ activeDevices: { day: 60 } })
    expect(hour?.['versions']).toHaveLength(50)
  })

  test('of another organization is not seen, nor counted', async () => {
    await seeDevices({ daysAgo: 0 })
    await recordActivity(control)
    const rival = await fixture.createOrganization()
    await refusal(await app.call('GET', '/activity', undefined, rival.tokens.owner), 404, 'not-found')
    expect((await app.call('GET', '/activity', undefined, org.tokens.viewer)).status).toBe(200)
    const rows = await withOrg(fixture.deps.db, rival.id, (tx) => tx.select().from(appActivity))
    expect(rows).toEqual([])
  })
})

describe('launches of a deployment', () => {
  test('are summed over all who reported, in all and by the hour', async () => {
    const hour = (at: string, shard: number, confirmed: number, failed: number) => ({
      orgId: org.id,
      appId: app.appId,
      deploymentId,
      bucket: new Date(at),
      shard,
      confirmed,
      failed,
      blocked: 1,
    })
    await withOrg(fixture.deps.db, org.id, (tx) =>
      tx
        .insert(launchCounts)
        .values([
          hour('2027-03-01T09:00:00Z', 0, 5, 1),
          hour('2027-03-01T09:00:00Z', 1, 7, 0),
          hour('2027-03-01T10:00:00Z', 0, 1, 2),
        ]),
    )
    expect(await app.must('GET', `/deployments/${deploymentId}/launches`)).toEqual({
      confirmed: 13,
      failed: 3,
      blocked: 3,
      hours: [
        { at: '2027-03-01T09:00:00.000Z', confirmed: 12, failed: 1, blocked: 2 },
        { at: '2027-03-01T10:00:00.000Z', confirmed: 1, failed: 2, blocked: 1 },
      ],
    })
    const other = await createLiveUpdateApp(fixture, org)
    await refusal(await other.call('GET', `/deployments/${deploymentId}/launches`), 404, 'not-found')
  })

  test('are none before anybody reported', async () => {
    const none = { confirmed: 0, failed: 0, blocked: 0, hours: [] }
    expect(await app.must('GET', `/deployments/${deploymentId}/launches`)).toEqual(none)
  })
})

describe('the live log', () => {
  test('shows what devices asked, and is followed by its cursor', async () => {
    const list = (query = '') => app.must<Body[]>('GET', `/check-ins${query}`)
    expect(await list()).toEqual([])
    await app.latest(android('production', 'first'))
    const [first, ...none] = await list()
    expect(none).toEqual([])
    expect(first).toMatchObject({
      deviceId: 'first',
      platform: 0,
      appVersionName: '1.0.0',
      lastSeenAt: expect.any(String) as string,
    })
    // Where a device asked from is not for the log.
    expect(JSON.stringify(first)).not.toMatch(/address|orgId/)
    expect(await list(`?after=${String(first?.['cursor'])}`)).toEqual([])
    await app.latest(android('production', 'second'))
    expect(await list(`?after=${String(first?.['cursor'])}`)).toMatchObject([{ deviceId: 'second' }])
    expect(await list('?limit=1')).toMatchObject([{ deviceId: 'second' }])
    await refusal(await app.call('GET', '/check-ins?after=now'), 422, 'request-invalid')
  })

  test('is of one app, for members', async () => {
    await app.latest(android('production', 'mine'))
    const other = await createLiveUpdateApp(fixture, org)
    expect(await other.must('GET', '/check-ins')).toEqual([])
    const rival = await fixture.createOrganization()
    await refusal(await app.call('GET', '/check-ins', undefined, rival.tokens.owner), 404, 'not-found')
    expect((await app.call('GET', '/check-ins', undefined, org.tokens.viewer)).status).toBe(200)
  })
})

test('what devices reported goes when its time is over, single devices before the sums', async () => {
  const of = { orgId: org.id, appId: app.appId }
  const ago = (days: number) => new Date(now.getTime() - days * DAY)
  const tally = { ...of, deploymentId, shard: 0, confirmed: 1 }
  const active = { ...of, activeDay: 1, activeWeek: 1, activeMonth: 1, bundles: [], versions: [] }
  const launched = { ...of, bundleId, deploymentId, outcome: 'confirmed' } as const
  await withOrg(fixture.deps.db, org.id, async (tx) => {
    await tx.insert(launchResults).values([
      { ...launched, deviceId: 'old', createdAt: ago(91) },
      { ...launched, deviceId: 'new', createdAt: ago(89) },
    ])
    await tx.insert(deviceTokens).values([
      { ...of, deviceId: 'old', tokenHash: newId(), lastUsedAt: ago(181) },
      { ...of, deviceId: 'new', tokenHash: newId(), lastUsedAt: ago(179) },
    ])
    await tx.insert(launchCounts).values([
      { ...tally, bucket: ago(401) },
      { ...tally, bucket: ago(399) },
    ])
  })
  await withOrg(control.db, org.id, (tx) =>
    tx.insert(appActivity).values([
      { ...active, bucket: ago(401) },
      { ...active, bucket: ago(399) },
    ]),
  )
  expect(await sweepTelemetry(control)).toBeGreaterThanOrEqual(4)
  expect(await sweepTelemetry(control)).toBe(0)
  await withOrg(fixture.deps.db, org.id, async (tx) => {
    const left = async (table: typeof launchResults | typeof deviceTokens | typeof launchCounts | typeof appActivity) =>
      (await tx.select().from(table).where(eq(table.appId, app.appId))).length
    expect([
      await left(launchResults),
      await left(deviceTokens),
      await left(launchCounts),
      await left(appActivity),
    ]).toEqual([1, 1, 1, 1])
  })
})
