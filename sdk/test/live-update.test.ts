import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createLiveUpdate, type LiveUpdate, type LiveUpdateEvent } from '../src/live-update/node/index.js'
import { importReleaseSigner, signRoot } from '../src/release/index.js'
import {
  appId,
  bundle,
  customer,
  type Device,
  makeDevice,
  platformKeys,
  releaseOf,
  replyJson,
  rsaPair,
  shown,
  signBytes,
  staged,
  startServer,
  stranger,
  type UpdateServer,
} from './update-fixture.js'
import { makeZip } from './make-zip.js'

const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex')
let server: UpdateServer
let device: Device
beforeAll(async () => {
  server = await startServer()
})
afterAll(() => server.close())
beforeEach(() => {
  device = makeDevice(server.url)
  server.requests.length = 0
})
afterEach(() => device.remove())

const open = (change: object = {}): Promise<LiveUpdate> => createLiveUpdate({ ...device.options, ...change })
const compat = { profile: 'compat' as const }

/** Installs and confirms a version, as an app does over two starts. */
async function install(version: string, change: object = compat): Promise<void> {
  const zip = bundle(version)
  server.publish(`id-${version}`, zip, {}, { 'x-signature': signBytes(zip) })
  const updates = await open(change)
  expect(await updates.sync()).toEqual({ status: 'staged', bundleId: `id-${version}` })
  const launch = await updates.launch()
  expect(shown(launch.directory)).toBe(version)
  await updates.ready(launch.nonce)
}

async function publishRelease(
  version: string,
  sequence: number,
  change: Parameters<typeof releaseOf>[2] = {},
): Promise<void> {
  const zip = bundle(version)
  const { release, channelStatement } = await releaseOf(zip, sequence, change)
  server.publish(`bundle-${sequence}`, zip, { release, channelStatement })
}

async function expectRefused(updates: LiveUpdate, code: string, running: string): Promise<void> {
  const events: LiveUpdateEvent[] = []
  const stop = updates.subscribe((event) => events.push(event))
  await expect(updates.sync()).rejects.toMatchObject({ name: 'LiveUpdateError', code })
  stop()
  expect(events.filter((event) => event.type === 'refused')).toMatchObject([{ code }])
  expect(staged(device)).toEqual([])
  expect(shown((await (await open(compat)).current()).directory)).toBe(running)
  expect(shown((await updates.launch()).directory)).toBe(running)
}

describe('compat profile', () => {
  test('a signed bundle is staged, launched on trial, confirmed, and is what the next start runs', async () => {
    await install('one')
    const updates = await open(compat)
    expect(await updates.sync()).toEqual({ status: 'up-to-date', bundleId: 'id-one' })
    expect(await updates.launch()).toMatchObject({ bundleId: 'id-one', nonce: null })
    expect(server.requests[0]).toContain(`/v1/apps/${appId}/bundles/latest?`)
    const query = new URL(server.requests[0]!.slice(4), server.url).searchParams
    expect(Object.fromEntries(query)).toMatchObject({ channelName: 'production', platform: '2', appVersionCode: '7' })
    expect(query.get('bundleId')).toBeNull()
    expect(new URL(server.requests[2]!.slice(4), server.url).searchParams.get('bundleId')).toBe('id-one')
  })

  test('the signature may come with the answer, and a zip with one folder around it is understood', async () => {
    const zip = makeZip([
      { name: 'dist/index.html', content: '<p>inner</p>' },
      { name: 'dist/assets/app.js', content: 'show("inner")' },
    ])
    server.publish('inner', zip, { signature: signBytes(zip) })
    const updates = await open(compat)
    await updates.sync()
    expect(shown((await updates.apply()).directory)).toBe('inner')
  })

  test.each([
    ['no header', {}, {}],
    ['an empty header', {}, { 'x-signature': '' }],
    ['the word null in the header', {}, { 'x-signature': 'null' }],
    ['white space', {}, { 'x-signature': ' \t ' }],
    ['an empty field', { signature: '' }, {}],
    ['null in the answer', { signature: null }, {}],
    ['the word null in the answer', { signature: 'null' }, {}],
    ['a correct checksum instead', { checksum: 'a' }, { 'x-checksum': 'a' }],
  ])('a stripped signature is refused: %s', async (_what, answer, headers) => {
    await install('one')
    server.publish('two', bundle('two'), answer, headers)
    await expectRefused(await open(compat), 'SIGNATURE_MISSING', 'one')
  })

  test("another key's signature and every flipped bit of a sample are refused", async () => {
    await install('one')
    const zip = bundle('two')
    server.publish('two', zip, {}, { 'x-signature': signBytes(zip, stranger) })
    await expectRefused(await open(compat), 'BAD_SIGNATURE', 'one')
    const updates = await open(compat)
    for (let sample = 0; sample < 64; sample++) {
      const flipped = zip.slice()
      const bit = Math.floor((sample / 64) * zip.length * 8)
      flipped[bit >> 3] = flipped[bit >> 3]! ^ (1 << (bit & 7))
      server.publish('two', flipped, {}, { 'x-signature': signBytes(zip) })
      await expect(updates.sync(), `bit ${bit}`).rejects.toMatchObject({ code: 'BAD_SIGNATURE' })
    }
    expect(shown((await updates.launch()).directory)).toBe('one')
    server.publish('two', zip, {}, { 'x-signature': signBytes(zip) })
    expect((await updates.sync()).status).toBe('staged')
  })

  test('a bundle left behind is not taken again, unless the app allows it', async () => {
    await install('one')
    await install('two')
    const zip = bundle('one')
    server.publish('again', zip, {}, { 'x-signature': signBytes(zip) })
    await expectRefused(await open(compat), 'DOWNGRADE', 'two')
    await install('one', { ...compat, allowReturn: true })
  })

  test.each([
    ['a path that leaves the folder', [{ name: '../x', content: 'x' }], 'ARCHIVE_NAME_UNSAFE'],
    ['a symbolic link', [{ name: 'a', content: '/etc', attributes: 0o120777 * 0x10000 }], 'ARCHIVE_ENTRY_TYPE'],
    ['two names for one file', [{ name: 'INDEX.html', content: 'x' }], 'ARCHIVE_NAME_COLLISION'],
    ['content longer than declared', [{ name: 'a', content: 'x'.repeat(5000), size: 10 }], 'ARCHIVE_SIZE_MISMATCH'],
    ['content of another checksum', [{ name: 'a', content: 'x', crc: 7 }], 'ARCHIVE_CRC_MISMATCH'],
  ])('a signed archive with %s is refused whole', async (_what, entries, code) => {
    await install('one')
    const zip = makeZip([{ name: 'index.html', content: '<p>two</p>' }, ...entries])
    server.publish('two', zip, {}, { 'x-signature': signBytes(zip) })
    await expectRefused(await open(compat), code, 'one')
    expect(readdirSync(join(device.directory, 'bundles'))).toHaveLength(1)
  })

  test('an archive without a page is refused', async () => {
    const zip = makeZip([{ name: 'app.js', content: 'x' }])
    server.publish('two', zip, {}, { 'x-signature': signBytes(zip) })
    await expectRefused(await open(compat), 'INDEX_MISSING', 'built-in')
  })
})

describe('release profile', () => {
  test('a release with both statements is staged, launched and confirmed', async () => {
    await publishRelease('one', 10)
    const updates = await open()
    expect(await updates.check()).toEqual({ status: 'available', bundleId: 'bundle-10' })
    expect(await updates.sync()).toEqual({ status: 'staged', bundleId: 'bundle-10' })
    expect(await updates.check()).toEqual({ status: 'staged', bundleId: 'bundle-10' })
    const launch = await updates.launch()
    expect(shown(launch.directory)).toBe('one')
    await updates.ready(launch.nonce)
    expect(await updates.sync()).toEqual({ status: 'up-to-date', bundleId: 'bundle-10' })
  })

  const later = new Date(Date.now() + 3_600_000).toISOString()
  const earlier = new Date(Date.now() - 3_600_000).toISOString()
  test.each([
    ['an older sequence', 9, {}, 'DOWNGRADE'],
    ['the same sequence with other content', 10, {}, 'SEQUENCE_CONFLICT'],
    ['a sequence too far ahead', 2_000_000, {}, 'SEQUENCE_JUMP'],
    ["another app's release", 11, { release: { appId: 'other' } }, 'WRONG_APP'],
    ['a channel that is not listed', 11, { release: { channels: ['beta'] } }, 'WRONG_CHANNEL'],
    ['a release for another platform', 11, { release: { platforms: ['ios' as const] } }, 'WRONG_PLATFORM'],
    ['a native version too low', 11, { release: { minNativeVersion: '1.2.4' } }, 'NATIVE_INCOMPATIBLE'],
    ['a native version too high', 11, { release: { maxNativeVersion: '1.2' } }, 'NATIVE_INCOMPATIBLE'],
    ['an expired release', 11, { release: { expiresAt: earlier } }, 'EXPIRED'],
    [
      'a stale channel statement',
      11,
      { channel: { issuedAt: new Date(Date.now() - 7_200_000).toISOString(), expiresAt: earlier } },
      'STALE',
    ],
    [
      'a channel statement from the future',
      11,
      { channel: { issuedAt: later, expiresAt: new Date(Date.now() + 7_200_000).toISOString() } },
      'STALE',
    ],
    [
      'a channel statement that names another release',
      11,
      { channel: { release: { sha256: 'b'.repeat(64), sequence: 11 } } },
      'RELEASE_MISMATCH',
    ],
    ["a stranger's release", 11, { customer: stranger }, 'BAD_SIGNATURE'],
    ['an archive of another size', 11, { release: { archive: { sha256: 'c'.repeat(64), size: 5 } } }, 'SIZE_MISMATCH'],
    [
      'an archive of another hash',
      11,
      { release: { archive: { sha256: 'c'.repeat(64), size: bundle('two').length } } },
      'HASH_MISMATCH',
    ],
    [
      'a file list that lacks a file',
      11,
      { release: { files: [{ path: 'index.html', sha256: digestOf('<p>two</p>'), size: 10 }] } },
      'FILES_DIFFER',
    ],
    [
      'a file list with another hash',
      11,
      { release: { files: [{ path: 'index.html', sha256: 'd'.repeat(64), size: 10 }] } },
      'FILE_MISMATCH',
    ],
  ])('%s is refused', async (_what, sequence, change, code) => {
    await publishRelease('one', 10)
    const updates = await open()
    await updates.sync()
    await updates.ready((await updates.launch()).nonce)
    await publishRelease('two', sequence, change)
    await expectRefused(updates, code, 'one')
    await publishRelease('two', 12)
    expect((await updates.sync()).status).toBe('staged')
  })

  test('statements that are missing are refused, whatever else is signed', async () => {
    const zip = bundle('one')
    const { release, channelStatement } = await releaseOf(zip, 1)
    const updates = await open()
    for (const answer of [
      {},
      { release },
      { channelStatement },
      { release: 'null', channelStatement },
      { release: { ...release, signatures: [] }, channelStatement },
    ]) {
      server.publish('one', zip, answer, { 'x-signature': signBytes(zip) })
      await expect(updates.sync()).rejects.toMatchObject({
        code: expect.stringMatching(/^(SIGNATURE_MISSING|ENVELOPE_MALFORMED)$/),
      })
    }
    server.publish('one', zip, { release, channelStatement })
    expect((await updates.sync()).status).toBe('staged')
  })

  test('a compiled-in floor holds on a fresh device', async () => {
    await publishRelease('one', 10)
    await expectRefused(await open({ minimumSequence: 11 }), 'DOWNGRADE', 'built-in')
    expect((await (await open({ minimumSequence: 10 })).sync()).status).toBe('staged')
  })

  test('a device outside the rollout installs nothing', async () => {
    await publishRelease('one', 10, { channel: { rollout: { deploymentId: 'd', percentage: 0 } } })
    expect(await (await open()).sync()).toEqual({ status: 'not-in-rollout', bundleId: 'bundle-10' })
    expect(server.requests).toHaveLength(1)
  })

  test('a failed release never lowers the floor', async () => {
    await publishRelease('one', 10)
    const updates = await open()
    await updates.sync()
    await updates.launch()
    expect(shown((await updates.launch()).directory)).toBe('built-in')
    await expect(updates.sync()).rejects.toMatchObject({ code: 'BLOCKED' })
    await publishRelease('zero', 9)
    await expect(updates.sync()).rejects.toMatchObject({ code: 'DOWNGRADE' })
    await updates.reset()
    await expect(updates.sync()).rejects.toMatchObject({ code: 'DOWNGRADE' })
    await publishRelease('one', 11)
    expect((await updates.sync()).status).toBe('staged')
  })

  test('keys are rotated over the air, and revoked bundles and old keys stay out', async () => {
    const next = rsaPair()
    const [oldSigner, newSigner] = await Promise.all(
      [customer, next].map((pair) => importReleaseSigner(pair.privateKey, 'k')),
    )
    const root = await signRoot(
      {
        _type: 'capstan-root/v1',
        appId,
        version: 2,
        createdAt: new Date().toISOString(),
        releaseKeys: [next.publicKey],
        platformKeys: [platformKeys.publicKey],
        revokedBundleIds: ['bundle-12'],
      },
      [oldSigner!, newSigner!],
    )
    const zip = bundle('new-key')
    const publish = async (sequence: number, pair: typeof customer, roots: unknown[]): Promise<void> => {
      const { release, channelStatement } = await releaseOf(zip, sequence, {
        customer: pair,
        release: { rootVersion: roots.length + 1 },
      })
      server.publish(`bundle-${sequence}`, zip, { release, channelStatement, roots })
    }
    const updates = await open()
    await publish(10, next, [])
    await expect(updates.sync()).rejects.toMatchObject({ code: 'BAD_SIGNATURE' })
    await publish(10, next, [root])
    expect((await updates.sync()).status).toBe('staged')
    await publish(11, customer, [root])
    await expect((await open()).sync()).rejects.toMatchObject({ code: 'BAD_SIGNATURE' })
    await publish(12, next, [])
    await expect((await open()).sync()).rejects.toMatchObject({ code: 'REVOKED' })
    await publish(13, next, [])
    expect((await (await open()).sync()).status).toBe('staged')
  })
})

describe('configuration', () => {
  const weak = rsaPair(1024).publicKey
  test.each([
    ['an RSA key of 1024 bits', { publicKey: weak }, 'KEY_SIZE'],
    ['a private key', { publicKey: customer.privateKey }, 'KEY_PRIVATE'],
    ['an Ed25519 key for releases', { publicKey: platformKeys.publicKey }, 'KEY_ALGORITHM'],
    ['no key', { publicKey: [] }, 'CONFIG'],
    ['an empty key', { publicKey: '' }, 'KEY_NOT_PEM'],
    ['an RSA platform key', { platformKey: customer.publicKey }, 'KEY_ALGORITHM'],
    ['no platform key', { platformKey: undefined }, 'CONFIG'],
    ['no channel', { channel: '' }, 'CONFIG'],
    ['an unknown platform', { platform: 'toaster' }, 'CONFIG'],
    ['an unknown profile', { profile: 'none' }, 'CONFIG'],
    ['plain http', { serverUrl: 'http://updates.example.com' }, 'INSECURE_URL'],
    ['a password in the address', { serverUrl: 'https://a:b@updates.example.com' }, 'INSECURE_URL'],
    ['no address', { serverUrl: 'updates' }, 'INSECURE_URL'],
    ['no directory', { directory: '' }, 'CONFIG'],
  ])('%s stops at start', async (_what, change, code) => {
    await expect(open(change)).rejects.toMatchObject({ code })
  })

  test('a directory of another app is refused', async () => {
    await (await open()).launch()
    await expect((await open({ appId: 'other' })).launch()).rejects.toMatchObject({ code: 'CONFIG' })
  })
})

describe('launches', () => {
  test('a bundle that is never confirmed is rolled back to the last good one and blocked', async () => {
    await install('one')
    const zip = bundle('bad')
    server.publish('bad', zip, {}, { 'x-signature': signBytes(zip) })
    const first = await open(compat)
    await first.sync()
    expect(shown((await first.launch()).directory)).toBe('bad')
    const second = await open(compat)
    const events: LiveUpdateEvent[] = []
    second.subscribe((event) => events.push(event))
    expect(await second.launch()).toMatchObject({ bundleId: 'id-one', nonce: null })
    expect(events[0]).toEqual({ type: 'rolled-back', from: 'bad', to: 'id-one' })
    await expect(second.sync()).rejects.toMatchObject({ code: 'BLOCKED' })
    server.publish('bad-under-another-name', zip, {}, { 'x-signature': signBytes(zip) })
    await expect(second.sync()).rejects.toMatchObject({ code: 'BLOCKED' })
    expect(shown((await second.launch()).directory)).toBe('one')
  })

  test('only the nonce of this launch confirms it', async () => {
    const zip = bundle('one')
    server.publish('one', zip, {}, { 'x-signature': signBytes(zip) })
    const updates = await open(compat)
    await updates.ready(null)
    await updates.sync()
    const { nonce } = await updates.launch()
    await expect(updates.ready('guess')).rejects.toMatchObject({ code: 'NONCE_MISMATCH' })
    await expect(updates.ready(null)).rejects.toMatchObject({ code: 'NONCE_MISMATCH' })
    await updates.ready(nonce)
    await expect(updates.ready(nonce)).rejects.toMatchObject({ code: 'NONCE_MISMATCH' })
    expect((await updates.launch()).nonce).toBeNull()
  })

  test('apply switches within a start and keeps what runs when nothing is staged', async () => {
    await install('one')
    const updates = await open(compat)
    expect(shown((await updates.apply()).directory)).toBe('one')
    const zip = bundle('two')
    server.publish('two', zip, {}, { 'x-signature': signBytes(zip) })
    await updates.sync()
    expect(shown((await updates.current()).directory)).toBe('one')
    const applied = await updates.apply()
    expect(shown(applied.directory)).toBe('two')
    await updates.ready(applied.nonce)
    expect(readdirSync(join(device.directory, 'bundles'))).toHaveLength(1)
  })

  test('a bundle that changed on disk is not run', async () => {
    await install('one')
    const { directory } = await (await open(compat)).current()
    writeFileSync(join(directory, 'assets/app.js'), 'evil()')
    expect(shown((await (await open(compat)).launch()).directory)).toBe('built-in')
    expect((await (await open(compat)).sync()).status).toBe('staged')
    expect(shown((await (await open(compat)).launch()).directory)).toBe('one')
  })

  test.each([
    ['a file more', (path: string) => writeFileSync(join(path, 'more.js'), '')],
    ['a link', (path: string) => symlinkSync('/etc/hostname', join(path, 'link'))],
    ['a file less', (path: string) => rmSync(join(path, 'assets/app.js'))],
  ])('a staged bundle with %s falls back to the last good one', async (_what, damage) => {
    await install('one')
    const zip = bundle('two')
    server.publish('two', zip, {}, { 'x-signature': signBytes(zip) })
    await (await open(compat)).sync()
    const state = JSON.parse(readFileSync(join(device.directory, 'state.json'), 'utf8')) as { next: { id: string } }
    damage(join(device.directory, 'bundles', state.next.id))
    expect(await (await open(compat)).launch()).toMatchObject({ bundleId: 'id-one', nonce: null })
  })

  test('a new native app starts from its own bundle', async () => {
    await install('one')
    const updates = await open({ ...compat, appVersionCode: '8' })
    expect(shown((await updates.launch()).directory)).toBe('built-in')
    expect((await updates.sync()).status).toBe('staged')
    expect(shown((await updates.launch()).directory)).toBe('one')
  })

  test('a damaged state is reported, never taken for a fresh device, and reset recovers', async () => {
    await install('one')
    writeFileSync(join(device.directory, 'state.json'), '{"v":')
    const updates = await open(compat)
    await expect(updates.launch()).rejects.toMatchObject({ code: 'STORAGE' })
    await updates.reset()
    expect(shown((await updates.launch()).directory)).toBe('built-in')
  })
})

describe('the network', () => {
  const page = bundle('one')
  test('no bundle is no update', async () => {
    server.latest = replyJson({ message: 'None.' }, 404)
    expect(await (await open(compat)).sync()).toEqual({ status: 'none', bundleId: null })
  })

  test.each([
    ['a server error', () => (server.latest = replyJson({}, 500)), 'SERVER_REFUSED'],
    [
      'an answer that is not JSON',
      () => (server.latest = (_q, response) => response.end('<html>')),
      'ANSWER_MALFORMED',
    ],
    ['an answer that is a list', () => (server.latest = replyJson([])), 'ANSWER_MALFORMED'],
    ['a bundle id that is a path', () => server.publish('../x', page), 'ANSWER_MALFORMED'],
    ['a bundle of single files', () => server.publish('x', page, { artifactType: 'manifest' }), 'MANIFEST_UNSUPPORTED'],
    [
      'a download over plain http elsewhere',
      () => server.publish('x', page, { url: 'http://cdn.example.com/x' }),
      'INSECURE_URL',
    ],
    ['a download from a file', () => server.publish('x', page, { url: 'file:///etc/passwd' }), 'INSECURE_URL'],
    [
      'a download that is gone',
      () => {
        server.publish('x', page)
        server.download = replyJson({}, 404)
      },
      'SERVER_REFUSED',
    ],
    [
      'an endless download',
      () => {
        server.publish('x', page)
        server.download = (_request, response) => {
          const more = (): boolean =>
            !response.destroyed && response.write(Buffer.alloc(65_536)) && setImmediate(more) !== null
          response.on('drain', more)
          more()
        }
      },
      'SIZE_MISMATCH',
    ],
    [
      'a download that declares too much',
      () => {
        server.publish('x', page)
        server.download = (_request, response) =>
          void response.writeHead(200, { 'content-length': 10_000_000 }).write('x')
      },
      'SIZE_MISMATCH',
    ],
    [
      'a download that breaks off',
      () => {
        server.publish('x', page)
        server.download = (_request, response) => {
          response.writeHead(200, { 'content-length': 1000 }).write('x', () => response.destroy())
        }
      },
      'NETWORK',
    ],
    [
      'a download that stalls',
      () => {
        server.publish('x', page)
        server.download = (_request, response) => void response.writeHead(200, { 'content-length': 1000 }).write('x')
      },
      'TOO_SLOW',
    ],
  ])('%s is refused', async (_what, arrange, code) => {
    arrange()
    const updates = await open({
      ...compat,
      limits: { maxArchiveBytes: 1_000_000 },
      transfer: { windowMs: 400, minimumBytes: 10 },
    })
    await expectRefused(updates, code, 'built-in')
  })

  test('a server that is not there is a network error', async () => {
    await expect((await open({ ...compat, serverUrl: 'http://127.0.0.1:1' })).sync()).rejects.toMatchObject({
      code: 'NETWORK',
    })
  })

  test('a redirect to an address that is not acceptable is refused', async () => {
    server.publish('x', page, {}, { 'x-signature': signBytes(page) })
    const fetch = async (url: string, init: RequestInit): Promise<Response> => {
      const response = await globalThis.fetch(url, init)
      if (url.includes('/files/')) Object.defineProperty(response, 'url', { value: 'http://cdn.example.com/x' })
      return response
    }
    await expectRefused(await open({ ...compat, world: { fetch } }), 'INSECURE_URL', 'built-in')
  })

  test('one sync at a time', async () => {
    server.publish('x', page, {}, { 'x-signature': signBytes(page) })
    const updates = await open(compat)
    const [first, second] = await Promise.allSettled([updates.sync(), updates.sync()])
    expect(first).toMatchObject({ status: 'fulfilled' })
    expect(second).toMatchObject({ status: 'rejected', reason: { code: 'BUSY' } })
    expect((await updates.sync()).status).toBe('staged')
  })
})
