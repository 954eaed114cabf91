import { generateKeyPairSync } from 'node:crypto'
import { validateArchive } from '@capstan/sdk/archive'
import {
  type Envelope,
  importReleaseSigner,
  type ReleaseStatement,
  type RootStatement,
  signRelease,
  signRoot,
  trustOf,
  verifyNextRoot,
} from '@capstan/sdk/release'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'
import {
  android,
  type Body,
  createKeyPair,
  createLiveUpdateApp,
  type KeyPair,
  type LiveUpdateApp,
  refusal,
  sha256,
  zipOf,
} from './live-update-app.js'

const pair = (type: 'ed25519') =>
  generateKeyPairSync(type, {
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  })
const platform = pair('ed25519')
const [first, second, third] = [createKeyPair(), createKeyPair(), createKeyPair()]
const content = zipOf({ 'index.html': 'rooted' })
const day = 24 * 60 * 60 * 1000

let fixture: Fixture
let org: TestOrganization
let app: LiveUpdateApp

beforeAll(async () => {
  fixture = await createFixture({ overrides: { channelStatementKey: platform.privateKey } })
  org = await fixture.createOrganization()
})
beforeEach(async () => {
  app = await createLiveUpdateApp(fixture, org)
  await app.must('POST', '/channels', { name: 'production' })
  await app.must('POST', '/public-keys', { pem: first.publicPem })
})
afterAll(() => fixture[Symbol.asyncDispose]())

const rootOf = (changes: Partial<RootStatement> = {}): RootStatement => ({
  _type: 'capstan-root/v1',
  appId: app.appId,
  version: 2,
  createdAt: new Date().toISOString(),
  releaseKeys: [second.publicPem],
  platformKeys: [platform.publicKey],
  revokedBundleIds: [],
  ...changes,
})
const signedBy = async (statement: RootStatement, ...keys: KeyPair[]): Promise<Envelope> =>
  signRoot(statement, await Promise.all(keys.map((key) => importReleaseSigner(key.privatePem, 'hint'))))
const send = (root: object) => app.call('POST', '/roots', { root })
const list = async (query = '') => (await app.call('GET', `/roots${query}`, undefined, null)).json<Body[]>()
const keys = async () =>
  (await app.must<Body[]>('GET', '/public-keys')).flatMap((key) => (key['revokedAt'] === null ? [key['pem']] : []))

async function publish(changes: Partial<ReleaseStatement>, by: KeyPair) {
  const statement: ReleaseStatement = {
    _type: 'capstan-release/v1',
    appId: app.appId,
    platforms: ['android'],
    channels: ['production'],
    bundleId: 'release-1',
    sequence: 1,
    createdAt: new Date().toISOString(),
    expiresAt: new Date(Date.now() + 30 * day).toISOString(),
    minNativeVersion: null,
    maxNativeVersion: null,
    rootVersion: 1,
    restores: null,
    provenance: null,
    archive: { sha256: sha256(content), size: content.byteLength },
    files: await validateArchive(content),
    ...changes,
  }
  const { envelope } = await signRelease(statement, await importReleaseSigner(by.privatePem, 'hint'))
  const options = { bundle: { channelName: 'production' }, signature: by.sign(content), release: envelope }
  return (await app.publishZip(content, options)).response
}

describe('a root statement', () => {
  test('replaces the registered keys, is handed to anyone in order, and devices follow the chain', async () => {
    expect(await list()).toEqual([])
    const answer = await send(await signedBy(rootOf(), first, second))
    expect(answer.status, await answer.clone().text()).toBe(201)
    expect(await answer.json()).toMatchObject({ version: 2 })
    expect(await keys()).toEqual([second.publicPem])
    const next = await signedBy(rootOf({ version: 3, releaseKeys: [third.publicPem] }), second, third)
    expect((await send(next)).status).toBe(201)
    const roots = await list()
    expect(roots.map((root) => root['version'])).toEqual([2, 3])
    expect((await list('?after=2')).map((root) => root['version'])).toEqual([3])
    let trust = await trustOf({
      version: 1,
      releaseKeys: [first.publicPem],
      platformKeys: [platform.publicKey],
      revokedBundleIds: [],
    })
    for (const { envelope } of roots) trust = (await verifyNextRoot(envelope, trust, app.appId)).trust
    expect(trust.rootVersion).toBe(3)
    expect((await publish({ rootVersion: 3 }, third)).status).toBe(200)
    const { roots: offered } = await (await app.latest(android('production'))).json<{ roots: unknown[] }>()
    expect(offered).toEqual(roots.map(({ envelope }) => envelope))
  })

  test('reaches devices also where nothing is offered: on a channel that is empty, paused or not there', async () => {
    const without = await app.latest(android('production'))
    expect(await without.json()).not.toHaveProperty('roots')
    const root = await signedBy(rootOf(), first, second)
    await app.must('POST', '/roots', { root })
    expect((await publish({ rootVersion: 2 }, second)).status).toBe(200)
    await app.must('POST', '/channels', { name: 'empty' })
    const [channel] = await app.must<[Body]>('GET', '/channels?name=production')
    await app.must('POST', `/channels/${channel.id}/pause`)
    for (const name of ['empty', 'production', 'nowhere']) {
      const answer = await app.latest(android(name))
      expect([name, answer.status, await answer.json()]).toMatchObject([
        name,
        404,
        { code: 'no-update', roots: [root] },
      ])
    }
  })

  test('changes nothing when it is sent again', async () => {
    const root = await signedBy(rootOf(), first, second)
    const answers = await Promise.all([send(root), send(root), send(root)])
    expect(answers.map(({ status }) => status)).toEqual([201, 201, 201])
    expect(await list()).toHaveLength(1)
    expect(await keys()).toEqual([second.publicPem])
  })

  test.each<[string, () => Promise<Envelope>, RegExp]>([
    ['is not signed by the key before', () => signedBy(rootOf(), second), /BAD_SIGNATURE/],
    ['is not signed by its own key', () => signedBy(rootOf(), first), /BAD_SIGNATURE/],
    ['is of another app', () => signedBy(rootOf({ appId: 'other' }), first, second), /WRONG_APP/],
    ['skips a version', () => signedBy(rootOf({ version: 3 }), first, second), /ROOT_VERSION/],
    ['is the version that is there', () => signedBy(rootOf({ version: 1 }), first, second), /ROOT_VERSION/],
    [
      'does not name the key of this server',
      () => signedBy(rootOf({ platformKeys: [pair('ed25519').publicKey] }), first, second),
      /platform-keys/,
    ],
  ])('that %s is refused, and nothing changes', async (_what, make, reason) => {
    expect(await refusal(await send(await make()), 422, 'root-invalid')).toMatch(reason)
    expect(await keys()).toEqual([first.publicPem])
    expect(await list()).toEqual([])
  })

  test('that is no envelope is refused, and so is one of an app without a key', async () => {
    await refusal(await send({ payload: '!' }), 422, 'root-invalid')
    await refusal(await send({ payload: 'e30=', filling: 'x'.repeat(300_000) }), 422, 'request-invalid')
    app = await createLiveUpdateApp(fixture, org)
    expect(await refusal(await send(await signedBy(rootOf(), first, second)), 422, 'root-invalid')).toContain(
      'Register the public key',
    )
  })

  test('cannot bring back a key that was revoked', async () => {
    await send(await signedBy(rootOf(), first, second))
    const back = await signedBy(rootOf({ version: 3, releaseKeys: [first.publicPem] }), second, first)
    await refusal(await send(back), 409, 'public-key-revoked')
    expect(await keys()).toEqual([second.publicPem])
  })

  test('is sent by administrators alone, and of another organization by nobody', async () => {
    const root = await signedBy(rootOf(), first, second)
    await refusal(await app.call('POST', '/roots', { root }, org.tokens.member), 403, 'permission-missing')
    const rival = await fixture.createOrganization()
    await refusal(await app.call('POST', '/roots', { root }, rival.tokens.owner), 404, 'not-found')
    expect((await app.call('POST', '/roots', { root }, org.tokens.admin)).status).toBe(201)
  })

  test('leaves its event in the audit chain', async () => {
    await send(await signedBy(rootOf({ revokedBundleIds: ['bad'] }), first, second))
    const path = `/v1/organizations/${org.id}/audit-events/export`
    const events = await fixture.request('GET', path, { token: org.tokens.owner })
    expect(await events.text()).toContain('root.added')
  })
})

describe('once a root is in charge', () => {
  beforeEach(async () => {
    await send(await signedBy(rootOf({ revokedBundleIds: ['bad'] }), first, second))
  })

  test('keys are registered by the next root only; the ones it names are there already', async () => {
    const refused = await app.call('POST', '/public-keys', { pem: third.publicPem })
    expect(await refusal(refused, 409, 'root-in-charge')).toContain('rotate-root')
    expect((await app.call('POST', '/public-keys', { pem: second.publicPem })).status).toBe(201)
  })

  test('a release by the key before, of a revoked bundle, or for a root that is not here is refused', async () => {
    await refusal(await publish({}, first), 422, 'bundle-signature-invalid')
    expect(await refusal(await publish({ bundleId: 'bad' }, second), 422, 'release-invalid')).toContain('revokes')
    expect(await refusal(await publish({ rootVersion: 3 }, second), 422, 'release-invalid')).toContain('root version 3')
    expect((await publish({ rootVersion: 2 }, second)).status).toBe(200)
  })
})

describe('a public key', () => {
  const parameters: object = { hashAlgorithm: 'sha256', mgf1HashAlgorithm: 'sha256', saltLength: 32 }
  const { publicKey } = generateKeyPairSync('rsa-pss', { modulusLength: 2048, ...parameters })
  const pss = publicKey.export({ type: 'spki', format: 'pem' }).toString()

  test.each([
    ['RSASSA-PKCS1-v1_5', 2048, () => second.publicPem, ['compat', 'release']],
    ['RSA-PSS', 2048, () => pss, ['release']],
    ['Ed25519', 256, () => pair('ed25519').publicKey, ['release']],
  ])('of %s says which clients can verify by it', async (algorithm, bits, pem, profiles) => {
    expect(await app.must('POST', '/public-keys', { pem: pem() })).toMatchObject({ algorithm, bits, profiles })
  })

  test('that the official plugins cannot use is refused when they are meant', async () => {
    const answer = await app.call('POST', '/public-keys', { pem: pss, profile: 'compat' })
    expect(await refusal(answer, 422, 'public-key-invalid')).toContain('official plugins')
    expect((await app.call('POST', '/public-keys', { pem: second.publicPem, profile: 'compat' })).status).toBe(201)
    expect((await app.call('POST', '/public-keys', { pem: pss, profile: 'release' })).status).toBe(201)
  })
})

test('the key of the server is there for anyone to compile in', async () => {
  const answer = await fixture.request('GET', '/v1/platform-keys')
  expect(await answer.json()).toEqual([
    {
      keyId: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
      pem: platform.publicKey,
      algorithm: 'Ed25519',
      use: 'channel-statement',
    },
  ])
  await using bare = await createFixture()
  expect(await (await bare.request('GET', '/v1/platform-keys')).json()).toEqual([])
})
