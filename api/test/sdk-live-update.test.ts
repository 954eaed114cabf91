import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { validateArchive } from '@capstan/sdk/archive'
import { createLiveUpdate, type LiveUpdate, type NodeLiveUpdateOptions } from '@capstan/sdk/live-update/node'
import { importReleaseSigner, signRelease, signRoot } from '@capstan/sdk/release'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'
import { createKeyPair, createLiveUpdateApp, type LiveUpdateApp, sha256, zipOf } from './live-update-app.js'

type Tally = { confirmed: number; failed: number; blocked: number }

let fixture: Fixture
let org: TestOrganization
const key = createKeyPair()
const platform = generateKeyPairSync('ed25519', {
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
})
let tamper: (bytes: Uint8Array) => Uint8Array<ArrayBuffer> = (bytes) => new Uint8Array(bytes)

beforeAll(async () => {
  fixture = await createFixture({
    overrides: { channelStatementKey: platform.privateKey, publicUrl: 'http://localhost:4400' },
  })
  org = await fixture.createOrganization()
})
afterAll(() => fixture[Symbol.asyncDispose]())

/** The client of a device, its network cable ending in the API of this test. */
async function createDevice(
  app: LiveUpdateApp,
  options: Partial<NodeLiveUpdateOptions>,
  isOnline = () => true,
): Promise<LiveUpdate> {
  const folder = join(fixture.folder, `device-${app.appId}`)
  await mkdir(join(folder, 'built-in'), { recursive: true })
  await writeFile(join(folder, 'built-in', 'index.html'), 'built in')
  return createLiveUpdate({
    appId: app.appId,
    serverUrl: fixture.deps.publicUrl,
    channel: 'production',
    publicKey: key.publicPem,
    platform: 'android',
    appVersionCode: '10',
    appVersionName: '1.0.0',
    directory: join(folder, 'state'),
    builtInDirectory: join(folder, 'built-in'),
    ...options,
    world: {
      fetch: async (url, init) => {
        if (!isOnline()) throw new TypeError('no network')
        const response = await fixture.app.request(url, init)
        if (!url.endsWith('/download')) return response
        return new Response(tamper(new Uint8Array(await response.arrayBuffer())), response)
      },
    },
  })
}

/** Starts the app, says that it works, and gives its page. */
async function startApp(device: LiveUpdate): Promise<string> {
  const { directory, nonce } = await device.launch()
  await device.ready(nonce)
  return readFile(join(directory, 'index.html'), 'utf8')
}

async function createApp(): Promise<LiveUpdateApp> {
  const app = await createLiveUpdateApp(fixture, org)
  await app.must('POST', '/channels', { name: 'production' })
  await app.must('POST', '/public-keys', { pem: key.publicPem })
  return app
}

async function publish(app: LiveUpdateApp, text: string, sequence: number | null): Promise<void> {
  const content = zipOf({ 'index.html': text })
  const options = { bundle: { channelName: 'production' }, signature: key.sign(content) }
  const release = sequence === null ? null : await releaseOf(app, content, sequence)
  const { response } = await app.publishZip(content, release ? { ...options, release } : options)
  expect(response.status, await response.clone().text()).toBe(200)
}

async function releaseOf(app: LiveUpdateApp, content: Uint8Array, sequence: number): Promise<object> {
  const signer = await importReleaseSigner(key.privatePem, 'customer')
  const { envelope } = await signRelease(
    {
      _type: 'capstan-release/v1',
      appId: app.appId,
      platforms: ['android'],
      channels: ['production'],
      bundleId: `release-${sequence}`,
      sequence,
      createdAt: new Date().toISOString(),
      expiresAt: new Date(Date.now() + 86_400_000).toISOString(),
      minNativeVersion: null,
      maxNativeVersion: null,
      rootVersion: 1,
      restores: null,
      provenance: null,
      archive: { sha256: sha256(content), size: content.byteLength },
      files: await validateArchive(content),
    },
    signer,
  )
  return envelope
}

test.each(['release', 'compat'] as const)(
  'a device in the %s profile goes from version to version',
  async (profile) => {
    const app = await createApp()
    const keys = profile === 'release' ? { platformKey: platform.publicKey } : {}
    const device = await createDevice(app, { profile, ...keys })
    expect(await startApp(device)).toBe('built in')
    expect((await device.sync()).status).toBe('none')
    await publish(app, 'one', profile === 'release' ? 1 : null)
    expect((await device.sync()).status).toBe('staged')
    expect(await startApp(device)).toBe('one')
    expect((await device.sync()).status).toBe('up-to-date')
    await publish(app, 'two', profile === 'release' ? 2 : null)
    tamper = (bytes) => Uint8Array.from(bytes, (byte, index) => (index === 40 ? byte ^ 1 : byte))
    await expect(device.sync()).rejects.toMatchObject({
      code: profile === 'release' ? 'HASH_MISMATCH' : 'BAD_SIGNATURE',
    })
    expect(await startApp(device)).toBe('one')
    tamper = (bytes) => new Uint8Array(bytes)
    expect((await device.sync()).status).toBe('staged')
    expect(await startApp(device)).toBe('two')
  },
)

test('a device in the release profile takes nothing that has no release statement', async () => {
  const app = await createApp()
  const device = await createDevice(app, { platformKey: platform.publicKey })
  await publish(app, 'unstated', null)
  await expect(device.sync()).rejects.toMatchObject({ code: 'SIGNATURE_MISSING' })
  expect(await startApp(device)).toBe('built in')
})

test.each([
  { revokes: true, runs: 'built in' },
  { revokes: false, runs: 'one' },
])('on a paused channel a device hears what its customer revoked: $revokes, $runs', async ({ revokes, runs }) => {
  const app = await createApp()
  const device = await createDevice(app, { profile: 'release', platformKey: platform.publicKey })
  await publish(app, 'one', 1)
  expect((await device.sync()).status).toBe('staged')
  const [channel] = await app.must<[{ id: string }]>('GET', '/channels?name=production')
  await app.must('POST', `/channels/${channel.id}/pause`)
  const next = createKeyPair()
  const root = await signRoot(
    {
      _type: 'capstan-root/v1',
      appId: app.appId,
      version: 2,
      createdAt: new Date().toISOString(),
      releaseKeys: [next.publicPem],
      platformKeys: [platform.publicKey],
      revokedBundleIds: revokes ? ['release-1'] : [],
    },
    await Promise.all([key, next].map((one) => importReleaseSigner(one.privatePem, 'hint'))),
  )
  await app.must('POST', '/roots', { root })
  expect((await device.check()).status).toBe('none')
  expect(await startApp(device)).toBe(runs)
})

test('server and device agree about who takes part in a rollout', async () => {
  const app = await createApp()
  await publish(app, 'one', 1)
  const [deployment] = await app.must<[{ id: string }]>('GET', '/deployments')
  await app.must('PATCH', `/deployments/${deployment.id}`, { rolloutPercentage: 0 })
  const device = await createDevice(app, { platformKey: platform.publicKey })
  expect((await device.sync()).status).toBe('none')
  await app.must('PATCH', `/deployments/${deployment.id}`, { rolloutPercentage: 1 })
  expect((await device.sync()).status).toBe('staged')
})

test('a device transfers the changed files out of the middle of the archive', async () => {
  const app = await createApp()
  const assets = Array.from({ length: 20 }, (_, at) => [`assets/${at}.txt`, randomBytes(4000).toString('hex')] as const)
  const zipWith = (text: string): Uint8Array<ArrayBuffer> =>
    zipOf({ ...Object.fromEntries(assets), 'index.html': text, 'assets/page.js': `show('${text}')` })
  const publishVersion = async (text: string, sequence: number): Promise<number> => {
    const content = zipWith(text)
    const release = await releaseOf(app, content, sequence)
    const { response } = await app.publishZip(content, {
      bundle: { channelName: 'production' },
      signature: key.sign(content),
      release,
    })
    expect(response.status, await response.clone().text()).toBe(200)
    return content.length
  }
  const device = await createDevice(app, { platformKey: platform.publicKey })
  const whole = await publishVersion('one', 1)
  let bytes = 0
  tamper = (received) => {
    bytes += received.length
    return new Uint8Array(received)
  }
  expect((await device.sync()).status).toBe('staged')
  expect(await startApp(device)).toBe('one')
  expect(bytes).toBe(whole)
  bytes = 0
  const sources: string[] = []
  device.subscribe((event) => event.type === 'acquired' && sources.push(event.source))
  await publishVersion('two', 2)
  expect((await device.sync()).status).toBe('staged')
  expect(sources).toEqual(['files'])
  expect(bytes).toBeLessThan(whole / 10)
  expect(await startApp(device)).toBe('two')
})

test('a device reports how bundles start, once each, and keeps what it could not send', async () => {
  const app = await createApp()
  let online = true
  const device = await createDevice(app, { platformKey: platform.publicKey, telemetry: true }, () => online)
  await publish(app, 'good', 1)
  await device.sync()
  expect(await startApp(device)).toBe('good')
  const launches = async () => {
    const deployments = await app.must<{ id: string }[]>('GET', '/deployments')
    return Promise.all(
      deployments.map(async ({ id }) => {
        const { confirmed, failed, blocked } = await app.must<Tally>('GET', `/deployments/${id}/launches`)
        return { confirmed, failed, blocked }
      }),
    )
  }
  expect(await launches()).toEqual([{ confirmed: 0, failed: 0, blocked: 0 }])
  await device.sync()
  await device.sync()
  expect(await launches()).toEqual([{ confirmed: 1, failed: 0, blocked: 0 }])
  await publish(app, 'bad', 2)
  await device.sync()
  // It starts twice and never says that it works.
  await device.launch()
  expect(await startApp(device)).toBe('good')
  online = false
  await expect(device.sync()).rejects.toMatchObject({ code: 'NETWORK' })
  online = true
  await expect(device.sync()).rejects.toMatchObject({ code: 'BLOCKED' })
  expect(await launches()).toEqual([
    { confirmed: 0, failed: 1, blocked: 0 },
    { confirmed: 1, failed: 0, blocked: 0 },
  ])
  // Forgotten at the server, it asks for a token anew, and what counted once counts no more.
  const [{ id }] = await app.must<[{ id: string }]>('GET', '/devices')
  await app.must('DELETE', `/devices/${id}`)
  await publish(app, 'better', 3)
  await device.sync()
  expect(await startApp(device)).toBe('better')
  for (let round = 0; round < 3; round += 1) await device.sync()
  expect((await launches())[0]).toEqual({ confirmed: 1, failed: 0, blocked: 0 })
})

test('a device reports nothing unless its app asks for it', async () => {
  const app = await createApp()
  const device = await createDevice(app, { platformKey: platform.publicKey })
  await publish(app, 'quiet', 1)
  await device.sync()
  await startApp(device)
  await device.sync()
  const [{ id }] = await app.must<[{ id: string }]>('GET', '/deployments')
  expect(await app.must('GET', `/deployments/${id}/launches`)).toMatchObject({ confirmed: 0, failed: 0 })
})
