import {
  builds,
  credentials,
  credentialVersions,
  newId,
  outbox,
  provisioningProfiles,
  withOrg,
} from '@capstan/migrations'
import { and, eq } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { addCertificate, createTestApp, type TestApp, uploadSource } from './build-fixture.js'
import { type Answer, createFixture, type Fixture } from './fixture.js'
import { expectStatus } from './version-fixture.js'

const DAY_MS = 86_400_000
const FINGERPRINT = 'f'.repeat(64)
type PreFlight = { usable: boolean; version: number; obstacles: { code: string; message: string }[] }

let fixture: Fixture
let app: TestApp
let sourceId: string
const now = Date.now()

beforeAll(async () => {
  fixture = await createFixture({ overrides: { now: () => new Date(now) } })
  app = await createTestApp(fixture)
  sourceId = await uploadSource(fixture, app)
})
afterAll(() => fixture[Symbol.asyncDispose]())

const inOrg = <T>(work: Parameters<typeof withOrg<T>>[2]) => withOrg(fixture.deps.db, app.org.id, work)
const change = (id: string, values: Partial<typeof credentialVersions.$inferInsert>) =>
  inOrg((tx) => tx.update(credentialVersions).set(values).where(eq(credentialVersions.credentialId, id)))
const build = (id: string): Promise<Answer> =>
  fixture.request('POST', `/v1/apps/${app.id}/builds`, {
    token: app.token,
    body: { platform: 'android', type: 'release', appBuildSourceId: sourceId, appCertificateId: id },
  })
const preFlight = async (id: string) =>
  expectStatus<PreFlight>(
    await fixture.request('GET', `/v1/apps/${app.id}/certificates/${id}/pre-flight`, { token: app.token }),
    200,
  )
/** What a build takes: its row and the message that rings for a worker. */
const places = () =>
  inOrg(async (tx) => [(await tx.select().from(builds)).length, (await tx.select().from(outbox)).length])

let count = 0
const certificate = () => addCertificate(fixture, app, `Key ${(count += 1)}`)
async function identity(facts: Record<string, unknown> = { teamId: 'TEAM000001' }): Promise<string> {
  const id = await certificate()
  await inOrg((tx) =>
    tx.update(credentials).set({ platform: 'ios', kind: 'apple.identity' }).where(eq(credentials.id, id)),
  )
  await change(id, { facts })
  return id
}
function addProfile(credentialId: string, values: Partial<typeof provisioningProfiles.$inferInsert> = {}) {
  const row = {
    id: newId(),
    orgId: app.org.id,
    appId: app.id,
    credentialId,
    profileUuid: newId(),
    name: 'Store',
    teamId: 'TEAM000001',
    applicationIdentifier: 'TEAM000001.com.example',
    type: 'app-store' as const,
    certificateFingerprints: ['0'.repeat(64), FINGERPRINT],
    content: new Uint8Array(1),
    fileName: 'store.mobileprovision',
    expiresAt: new Date(now + 100 * DAY_MS),
    ...values,
  }
  return inOrg((tx) => tx.insert(provisioningProfiles).values(row))
}

describe('a build is refused before it takes a place', () => {
  const cases: [string, Partial<typeof credentialVersions.$inferInsert>, string, RegExp][] = [
    ['expired', { expiresAt: new Date(now) }, 'certificate-expired', /version 3\) expired on \d{4}-/],
    [
      'valid from tomorrow on',
      { facts: { notBefore: new Date(now + DAY_MS).toISOString() } },
      'certificate-not-yet-valid',
      /is valid from/,
    ],
    ['retired', { status: 'retired' }, 'credential-version-not-active', /version 3 is retired/],
    ['destroyed', { status: 'destroyed', envelope: null }, 'credential-version-not-active', /is destroyed/],
  ]
  test.each(cases)('when its certificate is %s', async (_, values, code, message) => {
    const id = await certificate()
    const good = (await build(id)).status
    const before = await places()
    await change(id, values)
    const answer = await build(id)
    const problem = await answer.json<{ code: string; message: string }>()
    expect([good, answer.status, problem.code]).toEqual([201, 422, code])
    expect(problem.message).toMatch(message)
    expect(await places()).toEqual(before)
    expect(await preFlight(id)).toMatchObject({ usable: false, version: 3, obstacles: [{ code }] })
  })

  test('when it names none, or one of another kind', async () => {
    const id = await certificate()
    expect((await build(id)).status).toBe(201)
    await inOrg((tx) => tx.update(credentials).set({ kind: 'google.service-account' }).where(eq(credentials.id, id)))
    const before = await places()
    const other = await build(id)
    expect([other.status, (await other.json<{ code: string }>()).code]).toEqual([400, 'certificate-unknown'])
    const none = await fixture.request('POST', `/v1/apps/${app.id}/builds`, {
      token: app.token,
      body: { platform: 'android', type: 'release', appBuildSourceId: sourceId },
    })
    expect([none.status, (await none.json<{ code: string }>()).code]).toEqual([422, 'certificate-missing'])
    expect(await places()).toEqual(before)
  })

  test('and refused by name too, with the next build number unused', async () => {
    const id = await certificate()
    const first = await (await build(id)).json<{ numberAsString: string }>()
    await change(id, { expiresAt: new Date(now - 1) })
    expect((await build(id)).status).toBe(422)
    await change(id, { expiresAt: new Date(now + 1) })
    const second = await (await build(id)).json<{ numberAsString: string }>()
    expect(Number(second.numberAsString)).toBe(Number(first.numberAsString) + 1)
  })
})

describe('an Apple identity is usable with its profiles', () => {
  const codes = async (id: string) => (await preFlight(id)).obstacles.map(({ code }) => code)

  test('when each target has one that names it, wherever in the list', async () => {
    const id = await identity()
    expect(await codes(id)).toEqual(['profile-missing'])
    await addProfile(id)
    await addProfile(id, { applicationIdentifier: 'TEAM000001.com.example.widget' })
    expect(await preFlight(id)).toEqual({ usable: true, version: 3, obstacles: [] })
  })

  test('but not with one that names another certificate', async () => {
    const id = await identity()
    await addProfile(id, { certificateFingerprints: ['0'.repeat(64)] })
    expect(await codes(id)).toEqual(['profile-certificate-mismatch'])
    await addProfile(id)
    expect(await codes(id)).toEqual([])
  })

  test('but not with an expired one, until it is renewed', async () => {
    const id = await identity()
    await addProfile(id, { expiresAt: new Date(now) })
    expect(await codes(id)).toEqual(['profile-expired'])
    await addProfile(id)
    expect(await codes(id)).toEqual([])
  })

  test('but not with those of another team or of several types', async () => {
    const other = await identity({ teamId: 'TEAM000002' })
    await addProfile(other)
    expect(await codes(other)).toEqual(['profile-team-mismatch'])
    const mixed = await identity()
    await addProfile(mixed)
    await addProfile(mixed, { applicationIdentifier: 'TEAM000001.com.example.widget', type: 'ad-hoc' })
    expect(await codes(mixed)).toEqual(['profile-type-mismatch'])
    await inOrg((tx) =>
      tx
        .update(provisioningProfiles)
        .set({ type: 'app-store' })
        .where(and(eq(provisioningProfiles.credentialId, mixed), eq(provisioningProfiles.type, 'ad-hoc'))),
    )
    expect(await codes(mixed)).toEqual([])
  })

  test('for the app and the type of build that it is asked for, and no other', async () => {
    const id = await identity({ teamId: 'TEAM000001', type: 'production' })
    await addProfile(id)
    await addProfile(id, { applicationIdentifier: 'TEAM000001.com.example.widget' })
    const codesFor = async (query: string) =>
      (
        await expectStatus<PreFlight>(
          await fixture.request('GET', `/v1/apps/${app.id}/certificates/${id}/pre-flight?${query}`, {
            token: app.token,
          }),
          200,
        )
      ).obstacles.map(({ code }) => code)
    expect(await codesFor('type=app-store&bundleId=com.example')).toEqual([])
    expect(await codesFor('type=ad-hoc')).toEqual(['profile-type-mismatch'])
    expect(await codesFor('type=development')).toEqual(['certificate-type-mismatch', 'profile-type-mismatch'])
    expect(await codesFor('type=simulator')).toEqual([])
    expect(await codesFor('bundleId=com.example.other')).toEqual(['profile-app-mismatch'])

    const setBundleId = async (iosBundleId: string | null) =>
      expectStatus<{ iosBundleId: string | null }>(
        await fixture.request('PATCH', `/v1/apps/${app.id}`, { token: app.org.tokens.admin, body: { iosBundleId } }),
        200,
      )
    expect((await setBundleId('com.else')).iosBundleId).toBe('com.else')
    expect(await codesFor('type=app-store')).toEqual(['profile-app-mismatch'])
    const free = newId()
    await addProfile(id, { id: free, credentialId: null })
    const link = () =>
      fixture.request('PATCH', `/v1/apps/${app.id}/provisioning-profiles?ids=${free}`, {
        token: app.org.tokens.admin,
        body: { certificateId: id },
      })
    const refused = await link()
    expect([refused.status, (await refused.json<{ code: string }>()).code]).toEqual([422, 'profile-app-mismatch'])
    await setBundleId('com.example')
    expect(await codesFor('type=app-store')).toEqual([])
    expect((await link()).status).toBe(200)
    await setBundleId(null)
  })

  test('with a profile that was linked before the version it names became active', async () => {
    const id = await identity()
    const [profile, stranger] = [newId(), newId()]
    await addProfile(id)
    await addProfile(id, { id: profile, credentialId: null, certificateFingerprints: ['a'.repeat(64)] })
    await addProfile(id, { id: stranger, credentialId: null, certificateFingerprints: ['b'.repeat(64)] })
    const link = (ids: string) =>
      fixture.request('PATCH', `/v1/apps/${app.id}/provisioning-profiles?ids=${ids}`, {
        token: app.org.tokens.admin,
        body: { certificateId: id },
      })
    expect((await link(profile)).status).toBe(422)
    const next = { version: 4, status: 'validated' as const, fingerprintSha256: 'a'.repeat(64) }
    await inOrg(async (tx) => {
      const [row] = await tx.select().from(credentialVersions).where(eq(credentialVersions.credentialId, id))
      await tx.insert(credentialVersions).values({ ...row!, ...next, id: newId() })
    })
    expect((await link(profile)).status).toBe(200)
    expect((await link(stranger)).status).toBe(422)
    expect(await codes(id)).toEqual([])
    await change(id, { status: 'retired' })
    await inOrg(async (tx) => {
      await tx
        .update(credentialVersions)
        .set({ status: 'active' })
        .where(and(eq(credentialVersions.credentialId, id), eq(credentialVersions.version, 4)))
      await tx.update(credentials).set({ currentVersion: 4 }).where(eq(credentials.id, id))
    })
    expect(await preFlight(id)).toMatchObject({ usable: true, version: 4 })
  })
})
