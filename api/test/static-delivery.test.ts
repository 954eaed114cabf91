import { randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createLiveUpdate, type LiveUpdate, type NodeLiveUpdateOptions } from '@capstan/sdk/live-update/node'
import { importReleaseSigner, parseChannelStatement, signRoot, type StaticChannel } from '@capstan/sdk/release'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { makePatches } from '../src/patches/make-patches.js'
import { createS3Client } from '../src/objects/s3-client.js'
import { createBucketStore } from '../src/static-delivery/bucket-store.js'
import { openStaticStore } from '../src/static-delivery/open-static-store.js'
import type { StaticStore } from '../src/static-delivery/static-store.js'
import { createFixture } from './fixture.js'
import {
  type Body,
  createKeyPair,
  createLiveUpdateApp,
  type LiveUpdateApp,
  refusal,
  sha256,
} from './live-update-app.js'
import { startS3Server } from './s3-server.js'
import { createStaticLab, customer, platform, publishRelease, type StaticLab } from './static-lab.js'

const HOUR = 3_600_000
const production = (kind = 'electron') => `channels/${sha256('production')}-${kind}.json`

const everSame = randomBytes(20_000).toString('hex')
let lab: StaticLab
let count = 0

beforeAll(async () => {
  lab = await createStaticLab()
})
// Tokens live for a day.
beforeEach(() => void (lab.clock.now = Date.now()))
afterAll(() => lab[Symbol.asyncDispose]())

const get = (app: LiveUpdateApp, path: string, headers: Record<string, string> = {}) =>
  lab.fixture.request('GET', `/static/apps/${app.appId}/${path}`, { headers })
const channelOf = async (app: LiveUpdateApp) => (await get(app, production())).json<StaticChannel>()

async function publish(app: LiveUpdateApp, text: string, options: { release?: object; bundle?: object } = {}) {
  count += 1
  const files = { 'index.html': text, 'app.js': everSame + text }
  return publishRelease(app, { channel: 'production', sequence: count, files, now: lab.clock.now, ...options })
}

/** A device that has no server, and a CDN that is this API. */
async function createDevice(app: LiveUpdateApp, options: Partial<NodeLiveUpdateOptions> = {}) {
  const folder = join(lab.fixture.folder, `device-${app.appId}`)
  await mkdir(join(folder, 'built-in'), { recursive: true })
  await writeFile(join(folder, 'built-in', 'index.html'), 'built in')
  const asked: { url: string; headers: Headers }[] = []
  const device = await createLiveUpdate({
    appId: app.appId,
    staticUrl: 'http://localhost:4400/static',
    channel: 'production',
    publicKey: customer.publicPem,
    platformKey: platform.publicKey,
    platform: 'electron',
    appVersionCode: '10',
    appVersionName: '1.0.0',
    directory: join(folder, 'state'),
    builtInDirectory: join(folder, 'built-in'),
    ...options,
    world: {
      now: () => lab.clock.now,
      fetch: async (url, init) => {
        asked.push({ url, headers: new Headers(init.headers) })
        return lab.fixture.app.request(url, init)
      },
    },
  })
  return { device, asked }
}

async function startApp(device: LiveUpdate): Promise<string> {
  const { directory, nonce } = await device.launch()
  await device.ready(nonce)
  return readFile(join(directory, 'index.html'), 'utf8')
}

describe('objects', () => {
  test('are there for an app that wants them, and for no other', async () => {
    const app = await lab.createApp(['production'])
    const other = await createLiveUpdateApp(lab.fixture, lab.org)
    await other.must('POST', '/channels', { name: 'production' })
    expect(await lab.publishStatic()).toBe(1)
    expect(await lab.objectsOf(app)).toContain(production())
    expect(await lab.objectsOf(other)).toEqual([])
    await refusal(await get(other, production()), 404, 'not-found')
    expect(await lab.publishStatic()).toBe(0)
  })

  test('are kept by caches as what they are', async () => {
    const app = await lab.createApp(['production'])
    await publish(app, 'cached')
    await lab.publishStatic()
    const paths = await lab.objectsOf(app)
    expect(new Set(paths.map((path) => path.split('/')[0]))).toEqual(new Set(['archives', 'channels', 'releases']))
    for (const path of paths) {
      const response = await get(app, path)
      expect(response.status).toBe(200)
      expect(response.headers.get('access-control-allow-origin')).toBe('*')
      const isChannel = path.startsWith('channels/')
      expect(response.headers.get('cache-control')).toBe(
        isChannel
          ? 'public, max-age=30, stale-while-revalidate=30, stale-if-error=43200'
          : 'public, max-age=31536000, immutable, no-transform',
      )
      const etag = response.headers.get('etag')!
      expect((await get(app, path, { 'if-none-match': etag })).status).toBe(304)
    }
  })

  test('are sent in ranges, and nothing outside their folder is', async () => {
    const app = await lab.createApp(['production'])
    await publish(app, 'in ranges')
    await lab.publishStatic()
    const archive = (await lab.objectsOf(app)).find((path) => path.startsWith('archives/'))!
    const whole = Buffer.from(await (await get(app, archive)).arrayBuffer())
    expect(sha256(whole)).toBe(/[0-9a-f]{64}/.exec(archive)![0])
    const part = await get(app, archive, { range: 'bytes=10-19' })
    expect(part.status).toBe(206)
    expect(part.headers.get('content-range')).toBe(`bytes 10-19/${whole.length}`)
    expect(Buffer.from(await part.arrayBuffer())).toEqual(whole.subarray(10, 20))
    expect((await get(app, archive, { range: 'bytes=99999999-' })).status).toBe(416)
    for (const path of [
      'archives/..%2F..%2Ftmp',
      'archives/%2Fetc%2Fpasswd',
      'tmp/x',
      `archives/${'0'.repeat(64)}.zip`,
    ])
      expect((await get(app, path)).status, path).toBeGreaterThanOrEqual(404)
  })

  test('show a pause, a new share and a new channel with the next look', async () => {
    const app = await lab.createApp(['production'])
    const { id, appDeploymentId } = await publish(app, 'steered')
    await lab.publishStatic()
    expect((await channelOf(app)).offers).toMatchObject([{ bundleId: id, rollout: { percentage: 1 } }])
    await app.must('PATCH', `/deployments/${appDeploymentId}`, { rolloutPercentage: 0.25 })
    await lab.publishStatic()
    expect((await channelOf(app)).offers).toMatchObject([{ bundleId: id, rollout: { percentage: 0.25 } }])
    const [channel] = await app.must<[Body]>('GET', '/channels?name=production')
    await app.must('POST', `/channels/${channel.id}/pause`)
    await lab.publishStatic()
    expect((await channelOf(app)).offers).toEqual([])
    await app.must('POST', `/channels/${channel.id}/resume`)
    await app.must('PATCH', `/channels/${channel.id}`, { name: 'renamed' })
    await lab.publishStatic()
    await refusal(await get(app, production()), 404, 'not-found')
    expect(await lab.objectsOf(app)).toContain(`channels/${sha256('renamed')}-ios.json`)
  })

  test('show a pause also while a bundle cannot be copied, which is tried again', async () => {
    const app = await lab.createApp(['production'])
    await publish(app, 'damaged')
    const { objects } = lab.fixture.deps
    for await (const { key } of objects.list(`orgs/${lab.org.id}/apps/${app.appId}/bundles/`)) await objects.delete(key)
    await lab.publishStatic()
    expect((await channelOf(app)).offers).toHaveLength(1)
    expect((await lab.objectsOf(app)).filter((path) => path.startsWith('archives/'))).toEqual([])
    const [channel] = await app.must<[Body]>('GET', '/channels?name=production')
    await app.must('POST', `/channels/${channel.id}/pause`)
    expect(await lab.publishStatic()).toBe(0)
    lab.clock.now += 20_000
    expect(await lab.publishStatic()).toBe(1)
    expect((await channelOf(app)).offers).toEqual([])
    await app.must('DELETE', '')
    lab.clock.now += 20_000
    await lab.publishStatic()
  })

  test('of an app with much to copy keep no pause of another waiting, and come bit by bit', async () => {
    const [large, other] = [await lab.createApp(['production']), await lab.createApp(['production'])]
    await publish(other, 'another')
    await lab.publishStatic()
    for (const text of ['one', 'two']) await publish(large, text, { bundle: { rolloutPercentage: 0.5 } })
    const folder = await openStaticStore(lab.fixture.deps.staticPlace!)
    const slow: StaticStore = {
      ...folder,
      async put(path, object) {
        await folder.put(path, object)
        if (path.includes(`${large.appId}/archives/`)) lab.clock.now += 11_000
      },
    }
    const archivesOf = async () => (await lab.objectsOf(large)).filter((path) => path.startsWith('archives/')).length
    expect(await lab.publishStatic(slow)).toBe(1)
    expect([await archivesOf(), (await channelOf(large)).offers]).toEqual([1, []])
    const [channel] = await other.must<[Body]>('GET', '/channels?name=production')
    await other.must('POST', `/channels/${channel.id}/pause`)
    await lab.publishStatic(slow)
    expect((await channelOf(other)).offers).toEqual([])
    for (let passes = 0; passes < 20 && (await lab.publishStatic(slow)) > 0; passes++);
    expect([await archivesOf(), (await channelOf(large)).offers.length]).toEqual([2, 2])
    await large.must('DELETE', '')
  })

  test('are signed anew in the second half of the life of their statements, and only then', async () => {
    const app = await lab.createApp(['production'])
    await publish(app, 'renewed')
    await lab.publishStatic()
    const [before, archive] = [await channelOf(app), (await lab.objectsOf(app)).find((path) => path.endsWith('.zip'))!]
    const [writtenAt, archivedAt] = [await lab.writtenAt(app, production()), await lab.writtenAt(app, archive)]
    lab.clock.now += 11 * HOUR
    await lab.publishStatic()
    expect(await lab.writtenAt(app, production())).toBe(writtenAt)
    lab.clock.now += 2 * HOUR
    await lab.publishStatic()
    const after = await channelOf(app)
    const issuedAt = ({ offers: [offer] }: StaticChannel) =>
      parseChannelStatement(Buffer.from(offer!.channelStatement!.payload, 'base64')).issuedAt
    expect(Date.parse(issuedAt(after)) - Date.parse(issuedAt(before))).toBe(13 * HOUR)
    expect(await lab.writtenAt(app, archive)).toBe(archivedAt)
  })

  test('that nothing names any more stay as long as a cached statement may lead to them', async () => {
    const app = await lab.createApp(['production'])
    await publish(app, 'old')
    await lab.publishStatic()
    const old = (await lab.objectsOf(app)).filter((path) => !path.startsWith('channels/'))
    expect(old.length).toBe(2)
    await publish(app, 'new')
    await lab.publishStatic()
    expect(await lab.objectsOf(app)).toEqual(expect.arrayContaining(old))
    lab.clock.now += 13 * HOUR
    await lab.publishStatic()
    expect(await lab.objectsOf(app)).toEqual(expect.arrayContaining(old))
    lab.clock.now += 13 * HOUR
    await lab.publishStatic()
    expect((await lab.objectsOf(app)).filter((path) => old.includes(path))).toEqual([])
    expect((await lab.objectsOf(app)).filter((path) => path.endsWith('.zip')).length).toBe(1)
  })

  test('go when the app wants them no longer, and with the app', async () => {
    const app = await lab.createApp(['production'])
    await publish(app, 'gone')
    await lab.publishStatic()
    await app.must('PATCH', '', { staticDeliveryEnabled: false })
    await lab.publishStatic()
    expect(await lab.objectsOf(app)).toEqual([])
    await app.must('PATCH', '', { staticDeliveryEnabled: true })
    await lab.publishStatic()
    expect(await lab.objectsOf(app)).toContain(production())
    await app.must('DELETE', '')
    await lab.publishStatic()
    expect(await lab.objectsOf(app)).toEqual([])
    expect(await lab.publishStatic()).toBe(0)
  })

  test('are refused to an app where the server has no place for them', async () => {
    await using bare = await createFixture()
    const app = await createLiveUpdateApp(bare, await bare.createOrganization())
    const answer = await app.call('PATCH', '', { staticDeliveryEnabled: true })
    expect(await refusal(answer, 409, 'static-delivery-unavailable')).toContain('STATIC_DIR')
    expect(await app.must('GET', '')).toMatchObject({ staticDeliveryEnabled: false })
  })

  test('are the same in a bucket, with what a CDN has to know of each', async () => {
    await using server = await startS3Server({ bucket: 'public' })
    const { region, ...credentials } = server.keys
    const client = createS3Client({ endpoint: server.endpoint, region, credentials })
    const bucket = createBucketStore({ client, bucket: 'public' })
    const app = await lab.createApp(['production'])
    await publish(app, 'in a bucket')
    await lab.publishStatic(bucket)
    const paths = [...server.objects.keys()].map((key) => key.replace(`apps/${app.appId}/`, ''))
    expect(paths.map((path) => path.split('/')[0] ?? '').toSorted((one, other) => one.localeCompare(other))).toEqual([
      'archives',
      ...Array(4).fill('channels'),
      'releases',
    ])
    const kept = server.puts.map((headers) => [headers['content-type'], headers['cache-control']])
    expect(kept).toContainEqual(['application/zip', 'public, max-age=31536000, immutable, no-transform'])
    expect(kept).toContainEqual(['application/json', expect.stringContaining('max-age=30,') as string])
    // Under no key that a CDN would need.
    expect(server.puts.every((headers) => headers['x-amz-server-side-encryption'] === undefined)).toBe(true)
    await app.must('DELETE', '')
    await lab.publishStatic(bucket)
    expect([...server.objects.keys()]).toEqual([])
    client.destroy()
  })
})

test('files that a crash left in the folder are removed at the next start, those of a running copy are not', async () => {
  const dir = join(lab.fixture.folder, 'crashed')
  await openStaticStore({ kind: 'folder', dir })
  const [old, fresh] = [join(dir, 'tmp', 'old'), join(dir, 'tmp', 'fresh')]
  for (const path of [old, fresh]) await writeFile(path, 'x')
  const twoDaysAgo = new Date(Date.now() - 48 * HOUR)
  await utimes(old, twoDaysAgo, twoDaysAgo)
  await openStaticStore({ kind: 'folder', dir })
  expect(await readdir(join(dir, 'tmp'))).toEqual(['fresh'])
})

describe('a device that asks a CDN alone', () => {
  test('goes from version to version, and says nothing about itself', async () => {
    const app = await lab.createApp(['production'])
    const { device, asked } = await createDevice(app)
    await lab.publishStatic()
    expect((await device.sync()).status).toBe('none')
    await publish(app, 'one')
    await lab.publishStatic()
    expect((await device.sync()).status).toBe('staged')
    expect(await startApp(device)).toBe('one')
    expect((await device.sync()).status).toBe('up-to-date')
    await publish(app, 'two')
    await makePatches({ ...lab.fixture.deps, db: lab.database.db }, new AbortController().signal)
    await lab.publishStatic()
    const sources: string[] = []
    device.subscribe((event) => event.type === 'acquired' && sources.push(event.source))
    expect((await device.sync()).status).toBe('staged')
    expect(sources).toEqual(['patch'])
    expect(await startApp(device)).toBe('two')
    for (const { url, headers } of asked) {
      expect(new URL(url).pathname).toMatch(new RegExp(`^/static/apps/${app.appId}/`))
      expect(new URL(url).search).toBe('')
      expect([...headers.keys()].filter((name) => name.startsWith('x-'))).toEqual([])
    }
  })

  async function rotateRoot(app: LiveUpdateApp, revokedBundleIds: string[] = []): Promise<void> {
    const next = createKeyPair()
    const root = await signRoot(
      {
        _type: 'capstan-root/v1',
        appId: app.appId,
        version: 2,
        createdAt: new Date(lab.clock.now).toISOString(),
        releaseKeys: [next.publicPem],
        platformKeys: [platform.publicKey],
        revokedBundleIds,
      },
      await Promise.all([customer, next].map((key) => importReleaseSigner(key.privatePem, 'hint'))),
    )
    await app.must('POST', '/roots', { root })
    await lab.publishStatic()
  }

  test('learns new keys from there, and refuses what old keys sign', async () => {
    const app = await lab.createApp(['production'])
    const { device } = await createDevice(app)
    await publish(app, 'one')
    await lab.publishStatic()
    await device.sync()
    expect(await startApp(device)).toBe('one')
    await rotateRoot(app)
    expect((await channelOf(app)).roots).toMatchObject([{ version: 2 }])
    await expect(device.sync()).rejects.toMatchObject({ code: 'BAD_SIGNATURE' })
    expect(await startApp(device)).toBe('one')
  })

  test.each([
    ['a paused channel', (channelId: string) => [`/channels/${channelId}/pause`]],
    ['a channel in use', () => []],
  ])('learns of a revocation from %s', async (_what, before) => {
    const app = await lab.createApp(['production'])
    const { device } = await createDevice(app)
    const bundle = await publish(app, 'one')
    await lab.publishStatic()
    expect((await device.sync()).status).toBe('staged')
    const [channel] = await app.must<[Body]>('GET', '/channels?name=production')
    for (const path of before(channel.id)) await app.must('POST', path)
    await rotateRoot(app, [bundle.id])
    await device.check().catch(() => undefined)
    expect(await startApp(device)).toBe('built in')
  })

  test('keeps what it staged when its channel is paused, and nothing is revoked', async () => {
    const app = await lab.createApp(['production'])
    const { device } = await createDevice(app)
    await publish(app, 'one')
    await lab.publishStatic()
    expect((await device.sync()).status).toBe('staged')
    const [channel] = await app.must<[Body]>('GET', '/channels?name=production')
    await app.must('POST', `/channels/${channel.id}/pause`)
    await lab.publishStatic()
    expect((await device.check()).status).toBe('none')
    expect(await startApp(device)).toBe('one')
  })

  test('takes nothing from a copy whose statements have ended', async () => {
    const app = await lab.createApp(['production'])
    const { device } = await createDevice(app)
    await publish(app, 'frozen')
    await lab.publishStatic()
    lab.clock.now += 23 * HOUR
    expect((await device.check()).status).toBe('available')
    lab.clock.now += 2 * HOUR
    await expect(device.sync()).rejects.toMatchObject({ code: 'STALE' })
  })

  test('takes nothing from a channel that has ended, whose statements end with it', async () => {
    const app = await lab.createApp(['production'])
    const { device } = await createDevice(app)
    await publish(app, 'ending')
    const [channel] = await app.must<[Body]>('GET', '/channels?name=production')
    const expiresAt = new Date(lab.clock.now + HOUR).toISOString()
    await app.must('PATCH', `/channels/${channel.id}`, { expiresAt })
    await lab.publishStatic()
    expect((await device.check()).status).toBe('available')
    const [offer] = (await channelOf(app)).offers
    expect(parseChannelStatement(Buffer.from(offer!.channelStatement!.payload, 'base64'))).toMatchObject({ expiresAt })
    lab.clock.now += 2 * HOUR
    expect((await device.check()).status).toBe('none')
  })

  test.each([
    ['another channel', { channel: 'beta' }],
    ['another platform', { platform: 'ios' }],
    ['another kind of document', { _type: 'capstan-channel/v1' }],
    ['no list of offers', { offers: null }],
    ['a root that is nothing', { roots: [null] }],
    ['an offer without a rollout', { offers: [{}] }],
    [
      'an object that is no hash',
      {
        offers: [
          {
            rollout: { deploymentId: 'x', percentage: 1 },
            versionCodes: {},
            bundleId: 'x',
            artifactType: 'zip',
            url: null,
            archive: '../../x',
            release: null,
            patches: [],
          },
        ],
      },
    ],
  ])('refuses an object that is about %s', async (_what, change) => {
    const app = await lab.createApp(['production'])
    const { device } = await createDevice(app)
    await publish(app, 'honest')
    await lab.publishStatic()
    const file = join(lab.fixture.folder, 'static', 'apps', app.appId, production())
    await writeFile(file, JSON.stringify({ ...(await channelOf(app)), ...change }))
    await expect(device.sync()).rejects.toMatchObject({ code: 'ANSWER_MALFORMED' })
    expect(await startApp(device)).toBe('built in')
  })

  test('is opened in the release profile only, and without a server only where it reports nothing', async () => {
    const app = await lab.createApp(['production'])
    await expect(createDevice(app, { profile: 'compat' })).rejects.toMatchObject({ code: 'CONFIG' })
    await expect(createDevice(app, { telemetry: true })).rejects.toMatchObject({ code: 'CONFIG' })
    await expect(createDevice(app, { staticUrl: 'http://cdn.example.com' })).rejects.toMatchObject({
      code: 'INSECURE_URL',
    })
    const { device } = await createDevice(app, { telemetry: true, serverUrl: 'http://localhost:4400' })
    expect((await device.current()).bundleId).toBeNull()
  })
})
