import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { validateArchive } from '@capstan/sdk/archive'
import {
  type DeviceFacts,
  type Envelope,
  importPlatformKey,
  importReleaseKey,
  importReleaseSigner,
  type ReleaseStatement,
  ReleaseError,
  sealEnvelope,
  signRelease,
  type Trust,
  verifyRelease,
} from '@capstan/sdk/release'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'
import {
  android,
  type Body,
  createKeyPair,
  createLiveUpdateApp,
  type LiveUpdateApp,
  refusal,
  sha256,
  zipOf,
} from './live-update-app.js'

let fixture: Fixture
let org: TestOrganization
const key = createKeyPair()
const platform = generateKeyPairSync('ed25519', {
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
})
const content = zipOf({ 'index.html': 'release', 'app.js': '1' })
const day = 24 * 60 * 60 * 1000

beforeAll(async () => {
  fixture = await createFixture({ overrides: { channelStatementKey: platform.privateKey } })
  org = await fixture.createOrganization()
})
afterAll(() => fixture[Symbol.asyncDispose]())

async function createReleaseApp(on = fixture, of = org): Promise<LiveUpdateApp> {
  const app = await createLiveUpdateApp(on, of)
  await app.must('POST', '/public-keys', { pem: key.publicPem })
  await app.must('POST', '/channels', { name: 'production' })
  return app
}

async function statementFor(app: LiveUpdateApp, changes: Partial<ReleaseStatement> = {}): Promise<ReleaseStatement> {
  return {
    _type: 'capstan-release/v1',
    appId: app.appId,
    platforms: ['android', 'ios'],
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
}

const sealed = async (statement: ReleaseStatement, by = key): Promise<Envelope> =>
  (await signRelease(statement, await importReleaseSigner(by.privatePem, 'hint'))).envelope

const publish = (app: LiveUpdateApp, release: object, channelName = 'production') =>
  app.publishZip(content, { bundle: { channelName }, signature: key.sign(content), release })

async function trust(): Promise<Trust> {
  return {
    releaseKeys: [await importReleaseKey(key.publicPem)],
    platformKeys: [await importPlatformKey(platform.publicKey)],
    rootVersion: 1,
    revokedBundleIds: [],
  }
}

const phone = (app: LiveUpdateApp, changes: Partial<DeviceFacts> = {}): DeviceFacts => ({
  appId: app.appId,
  platform: 'android',
  channel: 'production',
  nativeVersion: '10',
  now: Date.now(),
  floor: null,
  ...changes,
})

type Statements = Body & { release: unknown; channelStatement: unknown }

test('a device verifies what the answer carries: the customer’s statement and the platform’s', async () => {
  const app = await createReleaseApp()
  const envelope = await sealed(await statementFor(app))
  const { bundle, response } = await publish(app, envelope)
  expect(response.status, await response.clone().text()).toBe(200)
  const answer = await (await app.latest(android('production'))).json<Statements>()
  expect(answer.release).toEqual(envelope)
  const verified = await verifyRelease(answer, await trust(), phone(app))
  expect(verified.release.archive.sha256).toBe(answer.checksum)
  expect(verified.channel).toMatchObject({ channel: 'production', platform: 'android', rollout: { percentage: 1 } })
  expect(Date.parse(verified.channel.expiresAt) - Date.parse(verified.channel.issuedAt)).toBeLessThanOrEqual(day)
  const codeOf = (facts: Partial<DeviceFacts>) =>
    trust()
      .then((trusted) => verifyRelease(answer, trusted, phone(app, facts)))
      .then(() => 'accepted')
      .catch((error: unknown) => (error instanceof ReleaseError ? error.code : String(error)))
  expect(await codeOf({ now: Date.now() + 25 * 60 * 60 * 1000 })).toBe('STALE')
  expect(await codeOf({ platform: 'ios' })).toBe('WRONG_PLATFORM')
  expect(await codeOf({ appId: bundle.id })).toBe('WRONG_APP')
  expect(createPublicKey(platform.publicKey).asymmetricKeyType).toBe('ed25519')
})

test('an answer for a bundle without a release statement has neither', async () => {
  const app = await createReleaseApp()
  await app.publishZip(content, { bundle: { channelName: 'production' } })
  const answer = await (await app.latest(android('production'))).json()
  expect(answer).not.toHaveProperty('release')
  expect(answer).not.toHaveProperty('channelStatement')
})

test('without a platform key the release is handed out and no channel statement is made up', async () => {
  await using keyless = await createFixture()
  const app = await createReleaseApp(keyless, await keyless.createOrganization())
  await publish(app, await sealed(await statementFor(app)))
  const answer = await (await app.latest(android('production'))).json()
  expect(answer).toHaveProperty('release')
  expect(answer).not.toHaveProperty('channelStatement')
})

describe('a release statement', () => {
  test.each([
    ['for another app', { appId: '018f0000-0000-7000-8000-000000000000' }, /WRONG_APP/],
    ['that has expired', { expiresAt: new Date(Date.now() - 1000).toISOString() }, /EXPIRED/],
    ['about another archive', { archive: { sha256: sha256('x'), size: 1 } }, /HASH_MISMATCH/],
    ['that lists a file less', { files: [{ path: 'index.html', sha256: sha256('release'), size: 7 }] }, /FILES_DIFFER/],
    [
      'that lists other content',
      {
        files: [
          { path: 'app.js', sha256: sha256('2'), size: 1 },
          { path: 'index.html', sha256: sha256('release'), size: 7 },
        ],
      },
      /FILE_MISMATCH/,
    ],
    ['for other channels', { channels: ['beta'] }, /does not name channel/],
  ])('%s is refused', async (_name, changes: Partial<ReleaseStatement>, reason) => {
    const app = await createReleaseApp()
    const { response } = await publish(app, await sealed(await statementFor(app, changes)))
    expect(await refusal(response, 422, 'release-invalid')).toMatch(reason)
    await refusal(await app.latest(android('production')), 404, 'no-update')
  })

  test('by another key, without signature, or of another type is refused before it is read', async () => {
    const app = await createReleaseApp()
    const statement = await statementFor(app)
    const good = await sealed(statement)
    const cases: [object, RegExp][] = [
      [await sealed(statement, createKeyPair()), /BAD_SIGNATURE/],
      [{ ...good, payload: Buffer.from('{}').toString('base64') }, /BAD_SIGNATURE/],
      [{ ...good, signatures: [] }, /SIGNATURE_MISSING/],
      [{ ...good, signatures: [{ keyid: 'x', sig: '' }] }, /SIGNATURE_MISSING/],
      [{ ...good, payloadType: 'application/json' }, /ENVELOPE_TYPE/],
      [{}, /ENVELOPE_MALFORMED/],
      [
        await sealEnvelope('application/vnd.capstan.release+json', new TextEncoder().encode('[]'), [
          await importReleaseSigner(key.privatePem, 'hint'),
        ]),
        /STATEMENT_MALFORMED/,
      ],
    ]
    for (const [release, reason] of cases) {
      const { response } = await publish(app, release)
      expect(await refusal(response, 422, 'release-invalid')).toMatch(reason)
    }
    expect((await publish(app, good)).response.status).toBe(200)
  })

  test('of an app without a registered key is refused with what to do', async () => {
    const app = await createLiveUpdateApp(fixture, org)
    const { response } = await app.publishZip(content, { release: await sealed(await statementFor(app)) })
    expect(await refusal(response, 422, 'release-invalid')).toContain('Register the public key')
  })

  test('older than what the channel has served is refused, so that no device is left behind', async () => {
    const app = await createReleaseApp()
    const first = await publish(app, await sealed(await statementFor(app, { sequence: 7 })))
    expect((await publish(app, await sealed(await statementFor(app, { sequence: 8 })))).response.status).toBe(200)
    const older = await publish(app, await sealed(await statementFor(app, { sequence: 6 })))
    expect(await refusal(older.response, 422, 'release-invalid')).toContain('release 8')
    const taken = await publish(app, await sealed(await statementFor(app, { sequence: 8, bundleId: 'other' })))
    expect(await refusal(taken.response, 422, 'release-invalid')).toContain('another release 8')
    const rollback = { appBuildId: first.bundle.appBuildId, appChannelName: 'production' }
    const refused = await app.call('POST', '/deployments', rollback)
    expect(await refusal(refused, 422, 'release-invalid')).toContain('higher sequence')
    const restored = await statementFor(app, { sequence: 9, restores: 'release-1' })
    expect((await publish(app, await sealed(restored))).response.status).toBe(200)
  })

  test('stays as it was first sent', async () => {
    const app = await createReleaseApp()
    const release = await sealed(await statementFor(app))
    const { bundle } = await publish(app, release)
    const again = (body: object) => app.call('PATCH', `/bundles/${bundle.id}`, { artifactStatus: 'ready', ...body })
    expect((await again({ release })).status).toBe(200)
    const other = await sealed(await statementFor(app, { sequence: 2 }))
    await refusal(await again({ release: other }), 409, 'bundle-immutable')
    await refusal(await app.call('PATCH', `/bundles/${bundle.id}`, { release }), 422, 'request-invalid')
  })
})
