import { credentialVersions, withOrg } from '@capstan/migrations'
import { and, eq } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'

import { createSealClient, type SealClient, SealError } from '../src/vault/seal-client.js'
import { createTestApp, type TestApp } from './build-fixture.js'
import { type Answer, createFixture, type Fixture } from './fixture.js'
import { type BrokerSocketPaths, chooseSockets, startTestBroker, type TestBroker } from './test-broker.js'
import {
  createCertificate,
  eventsOf,
  type TestCertificate,
  uploadCertificate,
  type Version,
} from './version-fixture.js'

/** The broker's client, with what goes wrong on the way to it. */
let faults: {
  proveKey?: () => Promise<boolean>
  destroyCredential?: () => Promise<never>
  beforeSeal?: () => Promise<void>
}
let fixture: Fixture
let sockets: BrokerSocketPaths
let broker: TestBroker
let app: TestApp
let certificate: TestCertificate
const away = () => Promise.reject(new SealError('The credential broker does not answer (ECONNREFUSED).'))

beforeAll(async () => {
  sockets = await chooseSockets()
  const real = createSealClient(sockets.sealSocket)
  const seal: SealClient = {
    ...real,
    seal: async (ctx, payload) => {
      await faults.beforeSeal?.()
      return real.seal(ctx, payload)
    },
    proveKey: (version) => faults.proveKey?.() ?? real.proveKey(version),
    destroyCredential: (subject) => faults.destroyCredential?.() ?? real.destroyCredential(subject),
  }
  fixture = await createFixture({ overrides: { seal } })
  broker = await startTestBroker(fixture, sockets)
  app = await createTestApp(fixture)
})
afterAll(async () => {
  await broker[Symbol.asyncDispose]()
  await fixture[Symbol.asyncDispose]()
})
beforeEach(async () => {
  faults = {}
  certificate = await createCertificate(fixture, app)
})

const events = async () => (await eventsOf(fixture, app.org.id, certificate.id)).map(({ action }) => action)
async function refused(answer: Answer, status: number, code: string, message: RegExp): Promise<void> {
  const problem = await answer.json<{ code: string; message: string }>()
  expect([answer.status, problem.code]).toEqual([status, code])
  expect(problem.message).toMatch(message)
}

test('a version stays a draft while the broker cannot be asked, and is not made active unproven', async () => {
  faults.proveKey = away
  expect(await certificate.add('ec.p12')).toMatchObject({ version: 2, status: 'draft' })
  await refused(await certificate.activate(2, 1), 503, 'dependency-unavailable', /nothing was changed/)
  expect(await certificate.states()).toEqual(['1 active', '2 draft'])
  faults = {}
  expect((await certificate.activate(2, 1)).status).toBe(200)
  expect(await certificate.states()).toEqual(['1 retiring', '2 active'])
})

test('a new certificate whose key does not sign, or cannot be tried, is not kept', async () => {
  const listed = async () => {
    const path = `/v1/apps/${app.id}/certificates?name=Fresh`
    return (await fixture.request('GET', path, { token: app.org.tokens.admin })).json<{ id: string }[]>()
  }
  const upload = () => uploadCertificate(fixture, app, 'Fresh')
  faults.proveKey = () => Promise.resolve(false)
  await refused(await upload(), 422, 'credential-canary-failed', /Upload the file again/)
  expect(await listed()).toEqual([])
  faults.proveKey = away
  await refused(await upload(), 409, 'upload-not-stored', /Upload it again/)
  expect(await listed()).toEqual([])
  faults.destroyCredential = away
  await refused(await upload(), 409, 'upload-not-stored', /kept as a draft/)
  const [draft] = await listed()
  const path = `/v1/apps/${app.id}/certificates/${draft!.id}`
  const seen = await fixture.request('GET', `${path}/pre-flight`, { token: app.org.tokens.admin })
  expect(await seen.json()).toMatchObject({ usable: false, obstacles: [{ code: 'credential-version-not-active' }] })
  faults = {}
  expect((await fixture.request('DELETE', path, { token: app.org.tokens.admin })).status).toBe(204)
  expect((await upload()).status).toBe(201)
})

test('a version whose key does not sign is destroyed at once, and its number not used again', async () => {
  faults.proveKey = () => Promise.resolve(false)
  await refused(await certificate.upload('ec.p12'), 422, 'credential-canary-failed', /Upload the file again/)
  expect(await certificate.states()).toEqual(['1 active', '2 destroyed'])
  expect((await events()).slice(-2)).toEqual(['credential.version_created', 'credential.version_rejected'])
  faults = {}
  expect(await certificate.add('ec.p12')).toMatchObject({ version: 3, status: 'validated' })
})

test('a version is not called destroyed while its key may exist', async () => {
  await certificate.add('ec.p12')
  faults.destroyCredential = away
  await refused(await certificate.request('DELETE', '/versions/2'), 503, 'dependency-unavailable', /Try again/)
  expect(await certificate.states()).toEqual(['1 active', '2 validated'])
  const [row] = await withOrg(fixture.deps.db, app.org.id, (tx) =>
    tx
      .select({ envelope: credentialVersions.envelope })
      .from(credentialVersions)
      .where(and(eq(credentialVersions.credentialId, certificate.id), eq(credentialVersions.version, 2))),
  )
  expect(row?.envelope).not.toBeNull()
  faults = {}
  expect((await certificate.request('DELETE', '/versions/2')).status).toBe(200)
  expect(await certificate.states()).toEqual(['1 active', '2 destroyed'])
})

test('of two uploads that meet at one number, one is stored', async () => {
  let arrived = 0
  let release: () => void = () => undefined
  const both = new Promise<void>((resolve) => (release = resolve))
  faults.beforeSeal = () => {
    arrived += 1
    if (arrived === 2) release()
    return both
  }
  const answers = await Promise.all([certificate.upload('ec.p12'), certificate.upload('ec.jks')])
  const [stored] = answers.filter(({ status }) => status === 201)
  const [other] = answers.filter((answer) => answer !== stored)
  expect(await stored!.json<Version>()).toMatchObject({ version: 2, status: 'validated' })
  await refused(other!, 409, 'credential-version-conflict', /nothing was stored/)
  expect(await certificate.states()).toEqual(['1 active', '2 validated'])
})
