import { generateKeyPairSync, randomUUID } from 'node:crypto'

import { credentialVersions, deletionCertificates, openDatabase, type OpenDatabase, withOrg } from '@capstan/migrations'
import { and, eq } from 'drizzle-orm'
import { pino } from 'pino'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'

import type { ControlDeps } from '../src/control/control-deps.js'
import { retireVersions } from '../src/control/retire-versions.js'
import { contentOf, hashContent } from '../src/change-requests/change.js'
import { claimed, createTestApp, queueBuild, type TestApp, type TestBuild, underLease } from './build-fixture.js'
import { type Answer, createFixture, type Fixture } from './fixture.js'
import { keystore } from './keystore-fixtures.js'
import { askSocket, type BrokerSocketPaths, chooseSockets, startTestBroker, type TestBroker } from './test-broker.js'
import { createCertificate, eventsOf, expectStatus, TestCertificate, type Version } from './version-fixture.js'

let fixture: Fixture
let sockets: BrokerSocketPaths
let broker: TestBroker
let control: OpenDatabase
let app: TestApp
let certificate: TestCertificate

beforeAll(async () => {
  sockets = await chooseSockets()
  fixture = await createFixture({ sealSocket: sockets.sealSocket })
  broker = await startTestBroker(fixture, sockets)
  control = openDatabase({ url: fixture.databaseUrl('control'), poolSize: 2 })
  app = await createTestApp(fixture)
})
afterAll(async () => {
  await control[Symbol.asyncDispose]()
  await broker[Symbol.asyncDispose]()
  await fixture[Symbol.asyncDispose]()
})
beforeEach(async () => {
  certificate = await createCertificate(fixture, app)
})

const retire = () =>
  retireVersions({ db: control.db, log: pino({ level: 'silent' }), now: () => new Date() } as ControlDeps)
const events = () => eventsOf(fixture, app.org.id, certificate.id)
const shown = async () => expectStatus<{ version: number }>(await certificate.request('GET', ''), 200)
const ofVersion = (version: number) =>
  and(eq(credentialVersions.credentialId, certificate.id), eq(credentialVersions.version, version))
const change = (version: number, values: Partial<typeof credentialVersions.$inferInsert>) =>
  withOrg(fixture.deps.db, app.org.id, (tx) => tx.update(credentialVersions).set(values).where(ofVersion(version)))
async function rowOf(version: number) {
  const [row] = await withOrg(fixture.deps.db, app.org.id, (tx) =>
    tx.select().from(credentialVersions).where(ofVersion(version)),
  )
  return row!
}
async function refused(answer: Answer, status: number, code: string, message: RegExp): Promise<void> {
  const problem = await answer.json<{ code: string; message: string }>()
  expect([answer.status, problem.code]).toEqual([status, code])
  expect(problem.message).toMatch(message)
}
const requestRelease = () =>
  queueBuild(fixture, app, { platform: 'android', type: 'release', appCertificateId: certificate.id })
async function finish(build: TestBuild): Promise<void> {
  const claim = await claimed(fixture, await fixture.createWorker(), build.id)
  const report = { status: 'failed', code: 'compile-failed', message: 'x', retryable: false }
  expect((await underLease(fixture, claim, 'finish', report)).status).toBe(204)
}

describe('a new version', () => {
  test('stands beside the active one, proven by the broker, and signs nothing yet', async () => {
    const added = await certificate.add('ec.p12')
    expect(added).toMatchObject({
      certificateId: certificate.id,
      version: 2,
      status: 'validated',
      fingerprintSha256: keystore('ec.p12').sha256[0],
      activatedAt: null,
      createdBy: app.org.userIds.admin,
    })
    expect(JSON.stringify(added)).not.toMatch(/password|envelope|fileB64|pkcs8/i)
    expect(await certificate.states()).toEqual(['1 active', '2 validated'])
    expect(await shown()).toMatchObject({ version: 1 })
    const actions = (await events()).map(({ action, actor }) => `${action} ${actor.type}`)
    expect(actions).toEqual([
      'credential.created user',
      'credential.canary_signed system',
      'credential.version_validated user',
      'credential.version_created user',
      'credential.canary_signed system',
      'credential.version_validated user',
    ])
  })

  test.each(['rsa.jks', 'ec.jks', 'dsa.jks', 'keychain.p12'])('of %s proves itself', async (file) => {
    const fields: Record<string, string> = file === 'rsa.jks' ? { keyPassword: 'other-key-pass' } : {}
    expect((await certificate.add(file, fields)).status).toBe('validated')
  })

  test('of a key without a certificate proves itself by its public key, and keeps its issuer', async () => {
    const p8 = () =>
      generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' })
    const send = async (path: string, fields: Record<string, string>) => {
      const body = new FormData()
      body.append('file', new Blob([p8()]), 'AuthKey.p8')
      for (const [key, value] of Object.entries(fields)) body.append(key, value)
      const answer = await fixture.request('POST', path, { token: app.org.tokens.admin, body })
      return expectStatus<{ id: string; status: string }>(answer, 201)
    }
    const issuerId = randomUUID()
    const { id } = await send(`/v1/apps/${app.id}/apple-api-keys`, { keyId: 'AAAAAAAAA1', issuerId })
    const next = await send(`/v1/apps/${app.id}/certificates/${id}/versions`, { keyId: 'AAAAAAAAA2' })
    expect(next).toMatchObject({ version: 2, status: 'validated' })
    const [row] = await withOrg(fixture.deps.db, app.org.id, (tx) =>
      tx
        .select()
        .from(credentialVersions)
        .where(and(eq(credentialVersions.credentialId, id), eq(credentialVersions.version, 2))),
    )
    expect(row?.facts).toMatchObject({ keyId: 'AAAAAAAAA2', issuerId })
  })

  test('warns when its certificate is another one, and only then', async () => {
    expect((await certificate.add('rsa.p12')).warnings).toEqual([])
    expect((await certificate.add('ec.p12')).warnings).toEqual([expect.stringContaining('upload key reset')])
  })

  test('of another purpose is refused and not stored', async () => {
    const debug = await certificate.upload('debug.p12', { password: 'android' })
    await refused(debug, 422, 'credential-purpose-differs', /for production; this file is for development/)
    await refused(await certificate.upload('ec.p12', { password: 'x' }), 422, 'keystore-password-wrong', /password/)
    expect(await certificate.states()).toEqual(['1 active'])
    expect((await certificate.add('ec.p12')).version).toBe(2)
  })

  test('uploaded twice at once never shares a number', async () => {
    const answers = await Promise.all([certificate.upload('ec.p12'), certificate.upload('ec.jks')])
    const stored = answers.filter(({ status }) => status === 201).length
    expect(stored).toBeGreaterThanOrEqual(1)
    for (const answer of answers) {
      if (answer.status !== 201) await refused(answer, 409, 'credential-version-conflict', /Upload this one again/)
    }
    expect(await certificate.states()).toHaveLength(1 + stored)
  })

  test('is for those who may write credentials; others may look', async () => {
    for (const role of ['viewer', 'member', 'approver'] as const) {
      const token = app.org.tokens[role]
      await refused(await certificate.upload('ec.p12', {}, token), 403, 'permission-missing', /credentials:write/)
      await refused(await certificate.activate(1, 1, token), 403, 'permission-missing', /credentials:write/)
      expect((await certificate.request('GET', '/versions', undefined, token)).status).toBe(200)
    }
  })

  test("of another organization's certificate is not found", async () => {
    const rival = await fixture.createOrganization('Rival')
    const token = rival.tokens.admin
    for (const [method, path] of [
      ['GET', '/versions'],
      ['POST', '/versions/1/activate'],
      ['POST', '/versions/1/retire'],
      ['POST', '/rollback'],
      ['DELETE', '/versions/1'],
      ['GET', '/usage'],
      ['GET', '/pre-flight'],
    ] as const) {
      const body = method === 'POST' ? { expectedActiveVersion: 1 } : undefined
      expect([path, (await certificate.request(method, path, body, token)).status]).toEqual([path, 404])
    }
    expect(await certificate.states()).toEqual(['1 active'])
    const elsewhere = new TestCertificate(fixture, await createTestApp(fixture, app.org), certificate.id)
    await refused(await elsewhere.activate(1, 1), 404, 'credential-not-found', /no such credential/)
    await refused(await certificate.activate(9, 1), 404, 'credential-version-not-found', /no version 9/)
  })
})

describe('the cut-over', () => {
  test('changes what new builds get, and the event names what was approved', async () => {
    await certificate.add('ec.p12')
    expect(await expectStatus(await certificate.activate(2, 1), 200)).toMatchObject({ version: 2, status: 'active' })
    expect(await certificate.states()).toEqual(['1 retiring', '2 active'])
    expect(await shown()).toMatchObject({ version: 2, fingerprintSha256: keystore('ec.p12').sha256[0] })
    const fingerprint = keystore('ec.p12').sha256[0]!
    const content = contentOf(app.org.id, {
      action: 'credential.rotate',
      subject: { app: app.id, credential: certificate.id },
      effect: { exists: true, activeVersion: 2, fingerprint },
      details: { verb: 'credential.rotated', from: 1 },
    })
    expect((await events()).at(-1)).toMatchObject({
      action: 'credential.rotated',
      actor: { type: 'user', id: app.org.userIds.admin },
      data: { from: 1, to: 2, fingerprint, approval: { contentHash: hashContent(content) } },
    })
  })

  test('is refused when another version is active than the caller saw', async () => {
    await certificate.add('ec.p12')
    await refused(
      await certificate.activate(2, 7),
      409,
      'credential-version-conflict',
      /Version 1 is active, not version 7/,
    )
    await refused(
      await certificate.activate(2, null),
      409,
      'credential-version-conflict',
      /Version 1 is active, not none/,
    )
    await refused(await certificate.activate(1, 1), 409, 'credential-version-refused', /active already/)
    expect(await certificate.states()).toEqual(['1 active', '2 validated'])
    expect((await certificate.activate(2, 1)).status).toBe(200)
  })

  test('of twenty at once is made by exactly one', async () => {
    await certificate.add('ec.p12')
    await certificate.add('ec.jks')
    const answers = await Promise.all(Array.from({ length: 20 }, (_, at) => certificate.activate(2 + (at % 2), 1)))
    const won = answers.filter(({ status }) => status === 200)
    expect(won).toHaveLength(1)
    const { version } = await won[0]!.json<Version>()
    for (const answer of answers) {
      if (answer !== won[0])
        await refused(answer, 409, 'credential-version-conflict', new RegExp(`Version ${version} is`))
    }
    expect((await certificate.states()).filter((state) => state.endsWith(' active'))).toEqual([`${version} active`])
    expect((await events()).filter(({ action }) => action === 'credential.rotated')).toHaveLength(1)
    expect(await shown()).toMatchObject({ version })
  })

  test('needs a version that still opens: an envelope of another version does not', async () => {
    await certificate.add('ec.p12')
    const { envelope } = await rowOf(2)
    await change(2, { envelope: (await rowOf(1)).envelope })
    await refused(await certificate.activate(2, 1), 422, 'credential-canary-failed', /Version 2 did not sign/)
    expect(await certificate.states()).toEqual(['1 active', '2 validated'])
    const [failed] = (await events()).filter(({ action }) => action === 'credential.canary_failed')
    expect(failed).toMatchObject({ outcome: 'refused', data: { version: 2, reason: 'does-not-open' } })
    await change(2, { envelope })
    expect((await certificate.activate(2, 1)).status).toBe(200)
  })

  test('needs the key of the certificate that the row names', async () => {
    await certificate.add('ec.p12')
    await change(2, { fingerprintSha256: 'a'.repeat(64) })
    await refused(await certificate.activate(2, 1), 422, 'credential-canary-failed', /Version 2/)
    expect((await events()).at(-1)).toMatchObject({ data: { reason: 'another-certificate' } })
  })

  test('proves a draft, which the broker could not be asked about when it came', async () => {
    await certificate.add('ec.p12')
    await change(2, { status: 'draft' })
    expect((await certificate.activate(2, 1)).status).toBe(200)
    expect(await certificate.states()).toEqual(['1 retiring', '2 active'])
  })

  test('to an expired version is refused', async () => {
    await certificate.add('ec.p12')
    await change(2, { expiresAt: new Date(Date.now() - 1000) })
    await refused(await certificate.activate(2, 1), 422, 'certificate-expired', /version 2\) expired on/)
    expect(await certificate.states()).toEqual(['1 active', '2 validated'])
  })
})

describe('builds in flight', () => {
  test('keep the version they were given until the last of them has ended', async () => {
    const old = await requestRelease()
    await certificate.add('ec.p12')
    expect((await certificate.activate(2, 1)).status).toBe(200)
    const next = await requestRelease()
    await retire()
    expect(await certificate.states()).toEqual(['1 retiring', '2 active'])
    for (const [build, version, file] of [
      [old, 1, 'rsa.p12'],
      [next, 2, 'ec.p12'],
    ] as const) {
      const claim = await claimed(fixture, await fixture.createWorker(), build.id)
      expect(claim.spec.signing?.credentialVersion).toBe(version)
      const request = { credentialId: certificate.id, credentialVersion: version, attempt: 1, step: 'sign' }
      const reply = await askSocket(sockets.openSocket, '/open', { token: claim.lease.token, body: request })
      expect([reply.status, (JSON.parse(reply.text) as { fileB64: string }).fileB64]).toEqual([
        200,
        keystore(file).fileB64,
      ])
      const report = { status: 'failed', code: 'compile-failed', message: 'x', retryable: false }
      expect((await underLease(fixture, claim, 'finish', report)).status).toBe(204)
    }
    await retire()
    expect(await certificate.states()).toEqual(['1 retired', '2 active'])
    expect((await events()).at(-1)).toMatchObject({ action: 'credential.version_retired', actor: { id: 'control' } })
  })

  test('that are requested during a cut-over get the one or the other, and none is left with a retired one', async () => {
    await certificate.add('ec.p12')
    const asked = Array.from({ length: 6 }, requestRelease)
    const [builds, answer] = await Promise.all([Promise.all(asked), certificate.activate(2, 1)])
    expect(answer.status).toBe(200)
    await retire()
    const usage = await expectStatus<{ unfinishedBuilds: { id: string; version: number }[] }>(
      await certificate.request('GET', '/usage'),
      200,
    )
    expect(usage.unfinishedBuilds.map(({ id }) => id).sort()).toEqual(builds.map(({ id }) => id).sort())
    const states = await certificate.states()
    for (const { version } of usage.unfinishedBuilds) expect(states).not.toContain(`${version} retired`)
  })
})

describe('going back', () => {
  test('makes the version active that was so before, and forth again', async () => {
    await certificate.add('ec.p12')
    await refused(await certificate.rollBack(1), 409, 'credential-rollback-impossible', /no earlier version/)
    await certificate.activate(2, 1)
    await retire()
    await refused(await certificate.rollBack(1), 409, 'credential-version-conflict', /Version 2 is active/)
    expect(await expectStatus(await certificate.rollBack(2), 200)).toMatchObject({ version: 1, retiredAt: null })
    expect(await certificate.states()).toEqual(['1 active', '2 retiring'])
    expect((await events()).at(-1)).toMatchObject({ action: 'credential.rolled_back', data: { from: 2, to: 1 } })
    expect(await expectStatus(await certificate.rollBack(1), 200)).toMatchObject({ version: 2 })
  })

  test('is possible until the key is destroyed, and then not', async () => {
    await certificate.add('ec.p12')
    await certificate.activate(2, 1)
    await retire()
    const kept = await rowOf(1)
    expect(await expectStatus(await certificate.request('DELETE', '/versions/1'), 200)).toMatchObject({
      status: 'destroyed',
      fingerprintSha256: keystore('rsa.p12').sha256[0],
    })
    expect((await rowOf(1)).envelope).toBeNull()
    await refused(await certificate.rollBack(2), 409, 'credential-rollback-impossible', /destroyed/)
    await refused(await certificate.activate(1, 2), 409, 'credential-version-refused', /destroyed/)
    // Yesterday's row beside today's key store.
    await change(1, { envelope: kept.envelope, status: 'retired', destroyedAt: null })
    await refused(await certificate.activate(1, 2), 422, 'credential-canary-failed', /Version 1/)
    expect(await certificate.states()).toEqual(['1 retired', '2 active'])
  })
})

describe('taking a version out of use', () => {
  test('leaves new builds without one until another is made active', async () => {
    expect(await expectStatus(await certificate.request('POST', '/versions/1/retire'), 200)).toMatchObject({
      status: 'retiring',
    })
    const refusal = requestRelease()
    await expect(refusal).rejects.toThrow(/credential-version-not-active/)
    expect((await certificate.activate(1, null)).status).toBe(200)
    await requestRelease()
  })

  test('waits for unfinished builds, which it names', async () => {
    const build = await requestRelease()
    await certificate.request('POST', '/versions/1/retire')
    const again = await certificate.request('POST', '/versions/1/retire')
    await refused(again, 409, 'credential-in-use', new RegExp(`unfinished builds: ${build.numberAsString}\\.`))
    await finish(build)
    expect(await expectStatus(await certificate.request('POST', '/versions/1/retire'), 200)).toMatchObject({
      status: 'retired',
    })
    await refused(
      await certificate.request('POST', '/versions/1/retire'),
      409,
      'credential-version-refused',
      /is retired/,
    )
  })

  test('destroys only what nothing signs with, once, with a certificate of it', async () => {
    await certificate.add('ec.p12')
    const destroy = (version: number) => certificate.request('DELETE', `/versions/${version}`)
    await refused(await destroy(1), 409, 'credential-version-refused', /Version 1 is active/)
    const { id } = await rowOf(2)
    expect((await destroy(2)).status).toBe(200)
    expect((await destroy(2)).status).toBe(200)
    expect(await certificate.states()).toEqual(['1 active', '2 destroyed'])
    const proofs = await withOrg(fixture.deps.db, app.org.id, (tx) =>
      tx.select().from(deletionCertificates).where(eq(deletionCertificates.subjectId, id)),
    )
    expect(proofs).toHaveLength(1)
    const destroyed = (await events()).filter(({ action }) => action === 'credential.version_destroyed')
    expect(destroyed.map(({ data }) => data.deletionCertificate)).toEqual([proofs[0]?.id])
    expect((await certificate.add('ec.p12')).version).toBe(3)
  })
})

describe('usage', () => {
  test('names unfinished builds and the last use, and delete waits for them', async () => {
    const usage = async () => expectStatus(await certificate.request('GET', '/usage'), 200)
    expect(await usage()).toEqual({ unfinishedBuilds: [], provisioningProfiles: [], lastUse: null })
    const build = await requestRelease()
    const unfinished = { id: build.id, numberAsString: build.numberAsString, version: 1 }
    expect(await usage()).toMatchObject({ unfinishedBuilds: [{ ...unfinished, status: 'queued' }], lastUse: null })
    await refused(await certificate.request('DELETE', ''), 409, 'credential-in-use', /not finished/)
    const claim = await claimed(fixture, await fixture.createWorker(), build.id)
    const request = { credentialId: certificate.id, credentialVersion: 1, attempt: 1, step: 'sign' }
    await askSocket(sockets.openSocket, '/open', { token: claim.lease.token, body: request })
    const lastUse = { buildId: build.id, version: 1, attempt: 1, worker: 'test-worker', usedAt: expect.any(String) }
    expect(await usage()).toMatchObject({ unfinishedBuilds: [{ status: 'in_progress' }], lastUse })
    await underLease(fixture, claim, 'finish', { status: 'failed', code: 'x', message: 'x', retryable: false })
    expect(await usage()).toMatchObject({ unfinishedBuilds: [], lastUse })
    expect((await certificate.request('DELETE', '')).status).toBe(204)
  })
})

describe('the canary', () => {
  const ask = (body: unknown, socket = sockets.sealSocket) => askSocket(socket, '/canary', { body })

  test('answers yes or no and nothing else', async () => {
    const request = { org: app.org.id, credential: certificate.id, version: 1, requestId: 'test' }
    expect(await ask(request)).toEqual({ status: 200, text: '{"passed":true}' })
    const rival = await fixture.createOrganization('Rival')
    for (const altered of [{ version: 2 }, { credential: randomUUID() }, { org: rival.id }]) {
      expect(await ask({ ...request, ...altered })).toEqual({ status: 200, text: '{"passed":false}' })
    }
    for (const altered of [{ org: 'x' }, { version: 0 }, { message: 'sign this' }, { requestId: '' }]) {
      expect((await ask({ ...request, ...altered })).status).toBe(422)
    }
    expect((await ask(request, sockets.openSocket)).status).toBe(404)
  })

  test('is no use of the credential: it leaves no opening', async () => {
    await certificate.add('ec.p12')
    expect((await events()).filter(({ action }) => action === 'credential.used')).toEqual([])
  })
})
