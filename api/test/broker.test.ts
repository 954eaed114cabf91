import { randomBytes } from 'node:crypto'
import { statSync } from 'node:fs'

import { auditEvents, credentials, credentialVersions, jobs, leases, newId, withOrg } from '@capstan/migrations'
import { desc, eq } from 'drizzle-orm'
import { pino } from 'pino'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'

import { createToken } from '../src/auth/tokens.js'
import { createSealClient } from '../src/vault/seal-client.js'
import { Secret } from '../src/vault/secret.js'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'
import { leaseBuild, type LeasedBuild, storeApp, storeCredential, type StoredCredential } from './leased-build.js'
import { askSocket, type BrokerSocketPaths, chooseSockets, startTestBroker, type TestBroker } from './test-broker.js'

const REFUSED = '{"code":"open-refused","message":"The credential cannot be opened."}'
const password = `canary-${randomBytes(8).toString('hex')}`
const payload = JSON.stringify({ fileB64: 'AAAA', filename: 'k.p12', password, keyAlias: 'a', keyPassword: password })

let fixture: Fixture
let sockets: BrokerSocketPaths
let broker: TestBroker
let org: TestOrganization
let appId: string
let credential: StoredCredential
const logLines: string[] = []

beforeAll(async () => {
  sockets = await chooseSockets()
  fixture = await createFixture({ sealSocket: sockets.sealSocket })
  broker = await startTestBroker(fixture, sockets, pino({ level: 'trace' }, { write: (line) => logLines.push(line) }))
  org = await fixture.createOrganization()
  appId = await storeApp(fixture, org.id)
})
afterAll(async () => {
  await broker[Symbol.asyncDispose]()
  await fixture[Symbol.asyncDispose]()
})
beforeEach(async () => {
  credential = await storeCredential(fixture, org.id, appId, payload)
})

const open = (build: LeasedBuild, change: Record<string, unknown> = {}, token = build.token) =>
  askSocket(sockets.openSocket, '/open', { token, body: { ...build.request, ...change } })

type StoredEvent = { action: string; outcome: string; actor: object; target: object; data: Record<string, unknown> }
async function lastEvent(orgId = org.id): Promise<StoredEvent> {
  const [row] = await withOrg(fixture.deps.db, orgId, (tx) =>
    tx.select().from(auditEvents).orderBy(desc(auditEvents.seq)).limit(1),
  )
  return JSON.parse(row?.event ?? '') as StoredEvent
}
async function countEvents(orgId: string): Promise<number> {
  return withOrg(fixture.deps.db, orgId, async (tx) => (await tx.select().from(auditEvents)).length)
}

describe('a live lease', () => {
  test('opens the credential its build chose, and the audit trail says who, what and where', async () => {
    const build = await leaseBuild(fixture, org.id, credential)
    expect(await open(build)).toEqual({ status: 200, text: payload })
    expect(await lastEvent()).toMatchObject({
      action: 'credential.used',
      outcome: 'success',
      actor: { type: 'worker', via: { type: 'lease', id: build.leaseId } },
      target: { credential: credential.id, build: build.buildId },
      data: { version: 1, fingerprint: 'f'.repeat(64), attempt: 1, worker: 'test-worker', step: 'sign' },
    })
  })

  test('opens it once: the second time is refused', async () => {
    const build = await leaseBuild(fixture, org.id, credential)
    const replies = await Promise.all([1, 2, 3, 4].map(() => open(build)))
    expect(replies.map(({ status }) => status).sort((a, b) => a - b)).toEqual([200, 403, 403, 403])
    expect(await lastEvent()).toMatchObject({ action: 'credential.use_refused', data: { reason: 'already-opened' } })
  })

  test('of the next attempt opens it again', async () => {
    const first = await leaseBuild(fixture, org.id, credential)
    const second = await leaseBuild(fixture, org.id, credential)
    expect((await open(first)).status).toBe(200)
    expect((await open(second)).status).toBe(200)
  })
})

describe('every refusal has the same answer and its own reason in the audit trail', () => {
  const changeLease = (id: string, values: Partial<typeof leases.$inferInsert>) =>
    withOrg(fixture.deps.db, org.id, (tx) => tx.update(leases).set(values).where(eq(leases.id, id)))
  const changeJob = (id: string, values: Partial<typeof jobs.$inferInsert>) =>
    withOrg(fixture.deps.db, org.id, (tx) => tx.update(jobs).set(values).where(eq(jobs.id, id)))

  const cases: [string, (build: LeasedBuild) => Promise<unknown>, Record<string, unknown>][] = [
    ['lease-ended', (build) => changeLease(build.leaseId, { endedAt: new Date() }), {}],
    ['lease-expired', (build) => changeLease(build.leaseId, { expiresAt: new Date(Date.now() - 1) }), {}],
    ['job-not-running', (build) => changeJob(build.jobId, { status: 'queued' }), {}],
    ['job-not-running', (build) => changeJob(build.jobId, { status: 'canceled', finishedAt: new Date() }), {}],
    ['cancel-requested', (build) => changeJob(build.jobId, { cancelRequestedAt: new Date() }), {}],
    ['attempt-superseded', (build) => changeJob(build.jobId, { attempt: 2 }), {}],
    ['attempt-differs', async () => undefined, { attempt: 2 }],
    ['lease-altered', (build) => changeLease(build.leaseId, { attempt: 1, binding: 'f'.repeat(64) }), {}],
    ['step-signs-nothing', async () => undefined, { step: 'compile' }],
    ['credential-not-chosen', async () => undefined, { credentialVersion: 2 }],
    ['credential-not-chosen', async () => undefined, { credentialId: newId() }],
  ]
  test.each(cases)('%s', async (reason, arrange, altered) => {
    const build = await leaseBuild(fixture, org.id, credential)
    await arrange(build)
    expect(await open(build, altered)).toEqual({ status: 403, text: REFUSED })
    expect(await lastEvent()).toMatchObject({
      action: 'credential.use_refused',
      outcome: 'refused',
      target: { build: build.buildId },
      data: { reason, step: altered['step'] ?? 'sign' },
    })
  })

  test.each(['draft', 'validated', 'retired'] as const)(
    'a version that is %s, which opens while it retires',
    async (status) => {
      const build = await leaseBuild(fixture, org.id, credential)
      const become = (values: Partial<typeof credentialVersions.$inferInsert>) =>
        withOrg(fixture.deps.db, org.id, (tx) =>
          tx.update(credentialVersions).set(values).where(eq(credentialVersions.id, credential.versionId)),
        )
      await become({ status })
      expect(await open(build)).toEqual({ status: 403, text: REFUSED })
      expect(await lastEvent()).toMatchObject({ data: { reason: 'credential-version-retired' } })
      await become({ status: 'retiring' })
      expect((await open(build)).status).toBe(200)
    },
  )

  test('a lease that ran out by the broker clock', async () => {
    const build = await leaseBuild(fixture, org.id, credential)
    broker.clock.offsetMs = 61_000
    expect(await open(build)).toEqual({ status: 403, text: REFUSED })
    broker.clock.offsetMs = 0
    expect((await open(build)).status).toBe(200)
  })

  test('a build of another app that names the credential', async () => {
    const build = await leaseBuild(fixture, org.id, credential, { appId: await storeApp(fixture, org.id) })
    expect(await open(build)).toEqual({ status: 403, text: REFUSED })
    expect(await lastEvent()).toMatchObject({ data: { reason: 'credential-of-another-app' } })
  })

  test("another organization's credential, asked for with a lease of one's own", async () => {
    const rival = await fixture.createOrganization('Rival')
    const theirs = await storeCredential(fixture, rival.id, await storeApp(fixture, rival.id), payload)
    const build = await leaseBuild(fixture, org.id, credential)
    const before = await countEvents(rival.id)
    expect(await open(build, { credentialId: theirs.id })).toEqual({ status: 403, text: REFUSED })
    expect(await countEvents(rival.id)).toBe(before)
  })

  test.each([
    ['no token', undefined],
    ['an unknown lease token', createToken('cl')],
    ['a lease token with a typo', 'cl_000000000000000000000000000000000000'],
    ['a token of another kind', createToken('ca')],
    ['something else', 'x'],
  ])('%s', async (_, token) => {
    const build = await leaseBuild(fixture, org.id, credential)
    const body = build.request
    const reply = await askSocket(sockets.openSocket, '/open', { body, ...(token !== undefined && { token }) })
    expect(reply).toEqual({ status: 403, text: REFUSED })
    expect((await open(build)).status).toBe(200)
  })

  test.each([
    ['no JSON', '{'],
    ['no body', ''],
    ['an unknown key', { credentialId: newId(), credentialVersion: 1, attempt: 1, step: 'sign', force: true }],
    ['an unknown step', { credentialId: newId(), credentialVersion: 1, attempt: 1, step: 'anything' }],
    ['an id that is none', { credentialId: "x' or 1=1", credentialVersion: 1, attempt: 1, step: 'sign' }],
  ])('a request with %s', async (_, body) => {
    const build = await leaseBuild(fixture, org.id, credential)
    expect(await askSocket(sockets.openSocket, '/open', { token: build.token, body })).toEqual({
      status: 403,
      text: REFUSED,
    })
  })
})

describe('rows that were tampered with do not decrypt', () => {
  const envelopeOf = async (id: string) =>
    withOrg(fixture.deps.db, org.id, async (tx) => {
      const [row] = await tx.select().from(credentialVersions).where(eq(credentialVersions.credentialId, id))
      if (!row) throw new Error('the version is gone')
      return row.envelope
    })
  const setEnvelope = (id: string, envelope: Uint8Array) =>
    withOrg(fixture.deps.db, org.id, (tx) =>
      tx.update(credentialVersions).set({ envelope }).where(eq(credentialVersions.credentialId, id)),
    )

  test("another credential's envelope in this row", async () => {
    const other = await storeCredential(fixture, org.id, appId, '{"other":true}')
    const build = await leaseBuild(fixture, org.id, credential)
    await setEnvelope(credential.id, (await envelopeOf(other.id))!)
    expect(await open(build)).toEqual({ status: 403, text: REFUSED })
    expect(await lastEvent()).toMatchObject({ action: 'credential.decrypt_failed', target: { build: build.buildId } })
  })

  test('the row moved to another app', async () => {
    const elsewhere = await storeApp(fixture, org.id)
    await withOrg(fixture.deps.db, org.id, (tx) =>
      tx.update(credentials).set({ appId: elsewhere }).where(eq(credentials.id, credential.id)),
    )
    const build = await leaseBuild(fixture, org.id, credential, { appId: elsewhere })
    expect(await open(build)).toEqual({ status: 403, text: REFUSED })
    expect(await lastEvent()).toMatchObject({ action: 'credential.decrypt_failed' })
  })

  test('a version number that was raised', async () => {
    await withOrg(fixture.deps.db, org.id, (tx) =>
      tx.update(credentialVersions).set({ version: 2 }).where(eq(credentialVersions.id, credential.versionId)),
    )
    const build = await leaseBuild(fixture, org.id, { ...credential, version: 2 })
    expect(await open(build)).toEqual({ status: 403, text: REFUSED })
    expect(await lastEvent()).toMatchObject({ action: 'credential.decrypt_failed' })
  })
})

describe('the sockets', () => {
  test('are open to owner and group only', () => {
    for (const path of [sockets.sealSocket, sockets.openSocket]) expect(statSync(path).mode & 0o777).toBe(0o660)
  })

  test('keep their rights apart: seal cannot open, open cannot seal', async () => {
    const build = await leaseBuild(fixture, org.id, credential)
    const asked = { token: build.token, body: build.request }
    expect((await askSocket(sockets.sealSocket, '/open', asked)).status).toBe(404)
    expect((await askSocket(sockets.openSocket, '/seal', { body: {} })).status).toBe(404)
    expect((await open(build)).status).toBe(200)
  })

  test('seal answers health and refuses what it does not know', async () => {
    const health = await askSocket(sockets.sealSocket, '/health', { method: 'GET' })
    expect([health.status, JSON.parse(health.text)]).toEqual([200, { writable: true, kekVersion: 1 }])
    expect(await fixture.deps.seal.health()).toEqual({ writable: true, kekVersion: 1 })
    const ctx = { org: newId(), app: newId(), credential: newId(), kind: 'android.keystore', version: '1' }
    const good = { ctx, payloadB64: 'AAAA' }
    const seal = (body: unknown) => askSocket(sockets.sealSocket, '/seal', { body })
    expect((await seal(good)).status).toBe(200)
    const bad = [
      {},
      { ...good, payloadB64: '' },
      { ...good, payloadB64: '!' },
      { ctx: { ...ctx, org: 'x' }, payloadB64: 'AAAA' },
    ]
    bad.push(
      { ctx: { ...ctx, kind: 'other' }, payloadB64: 'AAAA' },
      { ctx: { ...ctx, version: '0' }, payloadB64: 'AAAA' },
    )
    for (const body of bad) expect((await seal(body)).status).toBe(422)
    expect((await seal('x'.repeat(4_000_000))).status).toBe(413)
  })

  test('a seal client whose broker is away says so', async () => {
    const away = createSealClient(`${sockets.folder}/away.sock`)
    const ctx = { org: newId(), app: newId(), credential: newId(), kind: 'android.keystore', version: '1' }
    await expect(away.seal(ctx, new Secret(Buffer.from('x')))).rejects.toThrow(
      'The credential broker does not answer (ENOENT).',
    )
  })
})

test('the log names reasons and ids, never a token, a password or a payload', async () => {
  const build = await leaseBuild(fixture, org.id, credential)
  await open(build)
  await open(build)
  const text = logLines.join('')
  expect(text).toContain('credential opened')
  expect(text).toContain('already-opened')
  expect(text).toContain(build.buildId)
  expect(text).not.toMatch(/cl_[0-9A-Za-z]{36}/)
  for (const secret of [
    password,
    Buffer.from(password).toString('base64').slice(0, 20),
    Buffer.from(payload).toString('base64'),
  ]) {
    expect(text).not.toContain(secret)
  }
})
