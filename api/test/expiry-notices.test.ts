import {
  credentials,
  credentialVersions,
  newId,
  openDatabase,
  type OpenDatabase,
  provisioningProfiles,
  withOrg,
} from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { pino } from 'pino'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'

import type { ControlDeps } from '../src/control/control-deps.js'
import { giveExpiryNotices } from '../src/control/give-expiry-notices.js'
import { addCertificate, createTestApp, type TestApp } from './build-fixture.js'
import { createFixture, type Fixture } from './fixture.js'
import { eventsOf, expectStatus } from './version-fixture.js'

const DAY_MS = 86_400_000
const BASE = Date.parse('2030-01-01T00:00:00Z')
type Notice = { certificateId: string; daysBefore: number; expiresAt: string; certificateName: string; appId: string }

let fixture: Fixture
let control: OpenDatabase
let app: TestApp
let id: string

beforeAll(async () => {
  fixture = await createFixture()
  control = openDatabase({ url: fixture.databaseUrl('control'), poolSize: 6 })
})
afterAll(async () => {
  await control[Symbol.asyncDispose]()
  await fixture[Symbol.asyncDispose]()
})
beforeEach(async () => {
  app = await createTestApp(fixture)
  id = await addCertificate(fixture, app, 'Release')
})

const inOrg = <T>(work: Parameters<typeof withOrg<T>>[2]) => withOrg(fixture.deps.db, app.org.id, work)
const expire = (days: number) =>
  inOrg((tx) =>
    tx
      .update(credentialVersions)
      .set({ expiresAt: new Date(BASE + days * DAY_MS) })
      .where(eq(credentialVersions.credentialId, id)),
  )
const pass = (day: number) =>
  giveExpiryNotices({
    db: control.db,
    log: pino({ level: 'silent' }),
    now: () => new Date(BASE + day * DAY_MS),
  } as ControlDeps)
const notices = async (token = app.token, org = app.org.id) =>
  expectStatus<Notice[]>(await fixture.request('GET', `/v1/organizations/${org}/credential-notices`, { token }), 200)
const days = async () => (await notices()).map(({ daysBefore }) => daysBefore).toReversed()
function addProfile(applicationIdentifier: string, expiresInDays: number, fingerprint = 'f'.repeat(64)) {
  return inOrg((tx) =>
    tx.insert(provisioningProfiles).values({
      id: newId(),
      orgId: app.org.id,
      appId: app.id,
      credentialId: id,
      profileUuid: newId(),
      name: 'Store',
      teamId: 'TEAM000001',
      applicationIdentifier,
      type: 'app-store',
      certificateFingerprints: [fingerprint],
      content: new Uint8Array(1),
      fileName: 'x',
      expiresAt: new Date(BASE + expiresInDays * DAY_MS),
    }),
  )
}

test('a notice comes at 60, 30, 14, 7 and 1 days, each once, with its event', async () => {
  await expire(100)
  for (let day = 0; day < 100; day += 0.5) await pass(day)
  expect(await days()).toEqual([60, 30, 14, 7, 1])
  const events = await eventsOf(fixture, app.org.id, id)
  expect(events.map(({ action, data }) => [action, data.daysBefore])).toEqual(
    [60, 30, 14, 7, 1].map((daysBefore) => ['credential.expires_soon', daysBefore]),
  )
  expect(events[0]).toMatchObject({
    actor: { type: 'system', id: 'control' },
    data: { version: 3, fingerprint: 'f'.repeat(64), expiresAt: new Date(BASE + 100 * DAY_MS).toISOString() },
  })
  expect(await notices()).toContainEqual(
    expect.objectContaining({ appId: app.id, certificateId: id, certificateName: 'Release', version: 3 }),
  )
})

test('several control processes at once say it once', async () => {
  await expire(30)
  await Promise.all([pass(0), pass(0), pass(0), pass(0)])
  expect(await days()).toEqual([30])
  expect(await eventsOf(fixture, app.org.id, id)).toHaveLength(1)
})

test('after a while away the nearest is said, not everything that was missed', async () => {
  await expire(100)
  await pass(95)
  expect(await days()).toEqual([7])
  await pass(99.5)
  expect(await days()).toEqual([7, 1])
})

test('nothing is said too early, too late, or of a version that is not active', async () => {
  await expire(61)
  await pass(0)
  await pass(61)
  await inOrg((tx) =>
    tx.update(credentialVersions).set({ status: 'retiring' }).where(eq(credentialVersions.credentialId, id)),
  )
  await pass(55)
  expect(await days()).toEqual([])
  await inOrg((tx) =>
    tx.update(credentialVersions).set({ status: 'active' }).where(eq(credentialVersions.credentialId, id)),
  )
  await pass(55)
  expect(await days()).toEqual([7])
})

test('the earliest of certificate and profiles counts, of each target the profile that lasts longest', async () => {
  await inOrg((tx) => tx.update(credentials).set({ kind: 'apple.identity' }).where(eq(credentials.id, id)))
  await expire(300)
  await addProfile('T.app', 200)
  await addProfile('T.app.widget', 30)
  await addProfile('T.app', 10, '0'.repeat(64))
  await pass(0)
  expect((await notices()).map(({ expiresAt }) => expiresAt)).toEqual([new Date(BASE + 30 * DAY_MS).toISOString()])
  await addProfile('T.app.widget', 400)
  await pass(20)
  expect(await days()).toEqual([30])
  // The renewed profile leaves the others their own notice of the same number of days.
  await pass(170)
  expect(await days()).toEqual([30, 30])
})

test("an organization reads its own notices, and nobody else's", async () => {
  await expire(10)
  await pass(0)
  expect(await notices(app.org.tokens.viewer)).toHaveLength(1)
  const rival = await fixture.createOrganization('Rival')
  expect(await notices(rival.tokens.owner, rival.id)).toEqual([])
  const foreign = await fixture.request('GET', `/v1/organizations/${app.org.id}/credential-notices`, {
    token: rival.tokens.owner,
  })
  expect(foreign.status).toBe(404)
})
