import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { serveApp } from '../src/serve-app.js'
import { serveCheck } from '../src/updates/serve-check.js'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'
import { freePort } from './free-port.js'
import { createKeyPair, createLiveUpdateApp, type LiveUpdateApp, sha256, zipOf } from './live-update-app.js'
import { OfficialPlugin, type PluginOptions } from './official-plugin.js'

const manifestName = 'capawesome-live-update-manifest.json'
const key = createKeyPair()
let fixture: Fixture
let org: TestOrganization
let server: Awaited<ReturnType<typeof serveApp>>

beforeAll(async () => {
  const port = await freePort()
  fixture = await createFixture({ overrides: { publicUrl: `http://127.0.0.1:${port}` } })
  org = await fixture.createOrganization()
  server = await serveApp(fixture.app, { host: '127.0.0.1', port, first: serveCheck(fixture.deps) })
})
afterAll(async () => {
  server.close()
  if ('closeAllConnections' in server) server.closeAllConnections()
  await fixture[Symbol.asyncDispose]()
})

async function createApp(channel = 'production'): Promise<LiveUpdateApp> {
  const app = await createLiveUpdateApp(fixture, org)
  await app.must('POST', '/channels', { name: channel })
  return app
}

async function publishZip(app: LiveUpdateApp, text: string, channel = 'production'): Promise<Uint8Array> {
  const zip = zipOf({ 'index.html': text, 'app.js': `show('${text}')` })
  const bundle = { channelName: channel, customProperties: { note: text } }
  const { response } = await app.publishZip(zip, { bundle, signature: key.sign(zip) })
  expect(response.status, await response.clone().text()).toBe(200)
  return zip
}

/** Publishes single files as the official CLI does: each one signed, the manifest too. */
async function publishFiles(app: LiveUpdateApp, files: Record<string, string>): Promise<string> {
  const bundle = await app.must('POST', '/bundles', { artifactType: 'manifest', channelName: 'production' })
  const bytesOf = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text)
  const items = Object.entries(files).map(([href, text]) => ({
    checksum: sha256(text),
    href,
    sizeInBytes: bytesOf(text).length,
  }))
  let manifestId = ''
  for (const [href, text] of Object.entries({ ...files, [manifestName]: JSON.stringify(items) })) {
    const sent = await app.sendFile(bundle.id, { content: bytesOf(text), href, name: href, signature: key.sign(text) })
    expect(sent.status, await sent.clone().text()).toBeLessThan(300)
    if (href === manifestName) manifestId = (await sent.json<{ id: string }>()).id
  }
  await app.must('PATCH', `/bundles/${bundle.id}`, { artifactStatus: 'ready', appBundleFileId: manifestId })
  return bundle.id
}

function contentOf(plugin: OfficialPlugin): Record<string, string> {
  const files = [...plugin.current.files].filter(([href]) => href !== manifestName)
  return Object.fromEntries(files.map(([href, bytes]) => [href, Buffer.from(bytes).toString()]))
}

describe.each(['android', 'ios'] as const)('the official plugin on %s', (platform) => {
  const install = (app: LiveUpdateApp, change: Partial<PluginOptions> = {}): OfficialPlugin =>
    new OfficialPlugin({
      platform,
      serverUrl: fixture.deps.publicUrl,
      appId: app.appId,
      channel: 'production',
      publicKey: key.publicPem,
      ...change,
    })

  test('takes a signed zip, byte for byte, and then has nothing to do', async () => {
    const app = await createApp()
    const plugin = install(app)
    expect(await plugin.sync()).toBeNull()
    const zip = await publishZip(app, 'one')
    const bundleId = await plugin.sync()
    expect(bundleId).toBe(plugin.current.bundleId)
    expect(Buffer.from(plugin.current.files.get('bundle.zip')!).equals(Buffer.from(zip))).toBe(true)
    expect(await plugin.sync()).toBeNull()
    await publishZip(app, 'two')
    expect(await plugin.sync()).not.toBe(bundleId)
  })

  test('without a key checks the checksum of the download', async () => {
    const app = await createApp()
    await publishZip(app, 'one')
    const options = { platform, serverUrl: fixture.deps.publicUrl, appId: app.appId, channel: 'production' }
    expect(await new OfficialPlugin(options).sync()).not.toBeNull()
    const flip = (bytes: Uint8Array): Uint8Array => bytes.map((byte, at) => (at === 50 ? byte ^ 1 : byte))
    await expect(new OfficialPlugin({ ...options, tamper: flip }).sync()).rejects.toThrow('Checksum')
  })

  test('refuses what another key signed, and what changed on the way', async () => {
    const app = await createApp()
    await publishZip(app, 'one')
    const stranger = install(app, { publicKey: createKeyPair().publicPem })
    await expect(stranger.sync()).rejects.toThrow('Signature')
    const flip = (bytes: Uint8Array): Uint8Array => bytes.map((byte, at) => (at === 50 ? byte ^ 1 : byte))
    await expect(install(app, { tamper: flip }).sync()).rejects.toThrow('Signature')
    expect(await install(app).sync()).not.toBeNull()
  })

  test('finds channels whose names are encoded in different ways', async () => {
    const app = await createApp()
    for (const channel of ['beta+1', 'beta 1', 'bêta', 'a&b=c', '50%']) {
      await app.must('POST', '/channels', { name: channel })
      await publishZip(app, channel, channel)
      const update = await install(app, { channel, customId: 'a+b c' }).fetchLatestBundle()
      expect(update, channel).not.toBeNull()
      expect(await install(app, { channel: `${channel}x` }).fetchLatestBundle(), channel).toBeNull()
    }
  })

  test('without a channel takes the default one', async () => {
    const app = await createApp()
    await publishZip(app, 'one')
    const [channel] = await app.must<[{ id: string }]>('GET', '/channels')
    await fixture.request('PATCH', app.path, { token: app.token, body: { appChannelId: channel.id } })
    expect(await install(app, { channel: null }).sync()).not.toBeNull()
  })

  const files: Record<string, string> = {
    'index.html': '<p>one</p>',
    'assets/app.js': 'show(1)',
    'assets/a+b c.js': 'plus()',
    'assets/ü&=%.txt': 'letters',
    'empty.txt': '',
  }

  test('takes a bundle of single files, and then only what changed', async () => {
    const app = await createApp()
    const plugin = install(app)
    await publishFiles(app, files)
    await plugin.sync()
    expect(contentOf(plugin)).toEqual(files)
    const next = { ...files, 'index.html': '<p>two</p>', 'assets/app.js': 'show(2)' }
    await publishFiles(app, next)
    plugin.requests = []
    await plugin.sync()
    expect(contentOf(plugin)).toEqual(next)
    expect(plugin.requests).toHaveLength(1 + 1 + 2)
  })

  test('never mixes files that changed places: it gets them whole or not at all', async () => {
    const [first, between, swapped] = [
      { 'index.html': '<p>', 'a.js': 'A', 'b.js': 'B' },
      { 'index.html': '<p>', 'a.js': 'C', 'b.js': 'D' },
      { 'index.html': '<p>', 'a.js': 'B', 'b.js': 'A' },
    ]
    const app = await createApp()
    const plugin = install(app)
    await publishFiles(app, first)
    await plugin.sync()
    // This device misses one version, and copies by checksum what it has by the name in the new one.
    await publishFiles(app, between)
    await publishFiles(app, swapped)
    await plugin.sync()
    const { files: now } = plugin.current
    expect([first, swapped]).toContainEqual(now.has('bundle.zip') ? swapped : contentOf(plugin))
    const fresh = install(app)
    await fresh.sync()
    expect(contentOf(fresh)).toEqual(swapped)
  })

  test('that keeps the bodies of errors never takes one for a file', async () => {
    const app = await createApp()
    const bundleId = await publishFiles(app, files)
    const options = { platform, serverUrl: fixture.deps.publicUrl, appId: app.appId, channel: 'production' }
    const plugin = new OfficialPlugin({ ...options, keepsErrorBodies: true })
    const update = await plugin.fetchLatestBundle()
    await plugin.sync()
    expect(contentOf(plugin)).toEqual(files)
    await app.must('DELETE', `/bundles/${bundleId}`)
    // It asked before, and downloads after: what it is given in place of a file does not pass.
    await expect(plugin.takeUpdate(update!)).rejects.toThrow('Checksum')
    await expect(install(app, { keepsErrorBodies: true }).takeUpdate(update!)).rejects.toThrow('signature')
    expect(await plugin.sync()).toBeNull()
  })
})
