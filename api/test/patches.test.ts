import { generateKeyPairSync } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { openDatabase, type OpenDatabase } from '@capstan/migrations'
import { validateArchive } from '@capstan/sdk/archive'
import { createLiveUpdate, type LiveUpdate, type NodeLiveUpdateOptions } from '@capstan/sdk/live-update/node'
import { importReleaseSigner, signRelease } from '@capstan/sdk/release'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makePatches } from '../src/patches/make-patches.js'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'
import { keysBelow } from './stored-objects.js'
import { createKeyPair, createLiveUpdateApp, type LiveUpdateApp, sha256, zipOf } from './live-update-app.js'

type Patch = {
  fromBundleId: string
  status: string
  sizeBytes: number
  sha256: string
  refusal: string
  improving: boolean
}
type Files = Record<string, string>

let fixture: Fixture
let org: TestOrganization
let control: OpenDatabase
const key = createKeyPair()
const platform = generateKeyPairSync('ed25519', {
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
})
const never = new AbortController().signal

beforeAll(async () => {
  fixture = await createFixture({
    overrides: { channelStatementKey: platform.privateKey, publicUrl: 'http://localhost:4400' },
  })
  org = await fixture.createOrganization()
  control = openDatabase({ url: fixture.databaseUrl('control'), poolSize: 2 })
})
afterAll(async () => {
  await control[Symbol.asyncDispose]()
  await fixture[Symbol.asyncDispose]()
})

/** What the control process does when it looks for due patches; and the API has noticed. */
async function makeDue(signal = never, objects = fixture.deps.objects): Promise<number> {
  const deps = { db: control.db, objects, log: pino({ level: 'silent' }), now: () => new Date() }
  const made = await makePatches(deps, signal)
  await fixture.deps.published.refresh()
  return made
}

async function createApp(owner = org): Promise<LiveUpdateApp> {
  const app = await createLiveUpdateApp(fixture, owner)
  await app.must('POST', '/channels', { name: 'production' })
  await app.must('POST', '/public-keys', { pem: key.publicPem })
  return app
}

/** An app whose files are named by their content, as bundlers do it: nearly every name changes with every version. */
function webBuild(version: number): Files {
  const files: Files = {}
  for (let part = 0; part < 5; part++) {
    const lines = Array.from({ length: 120 }, (_, n) => {
      const word = sha256(`${part} ${n}`).slice(0, 12)
      return `function f${word}(a){return a.${word}?"${word.slice(6)}":a.value${n % 40 === 0 ? version : ''}}`
    })
    const content = `/* build ${version} */${lines.join(';')}`
    files[`assets/part-${part}-${sha256(content).slice(0, 8)}.js`] = content
  }
  files['assets/logo.svg'] = '<svg/>'
  files['index.html'] = `<title>${version}</title>${Object.keys(files).join(' ')}`
  return files
}

/** Publishes as `capstan publish` does: the statement names the bundle by the server's id. */
async function publish(app: LiveUpdateApp, files: Files, sequence: number): Promise<{ id: string; zip: Uint8Array }> {
  const zip = zipOf(files)
  const { id } = await app.must('POST', '/bundles', { artifactType: 'zip', channelName: 'production' })
  const sent = await app.sendFile(id, { content: zip, signature: key.sign(zip) })
  const { id: appBundleFileId } = await sent.json<{ id: string }>()
  const signer = await importReleaseSigner(key.privatePem, 'customer')
  const { envelope } = await signRelease(
    {
      _type: 'capstan-release/v1',
      appId: app.appId,
      platforms: ['electron'],
      channels: ['production'],
      bundleId: id,
      sequence,
      createdAt: new Date().toISOString(),
      expiresAt: new Date(Date.now() + 86_400_000).toISOString(),
      minNativeVersion: null,
      maxNativeVersion: null,
      rootVersion: 1,
      restores: null,
      provenance: null,
      archive: { sha256: sha256(zip), size: zip.byteLength },
      files: await validateArchive(zip),
    },
    signer,
  )
  await app.must('PATCH', `/bundles/${id}`, { artifactStatus: 'ready', appBundleFileId, release: envelope })
  return { id, zip }
}

type Device = LiveUpdate & {
  /** Bytes of every answer but those about what is latest. */
  downloads: { url: string; bytes: number }[]
  events: string[]
  tamper: (url: string, bytes: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>
}

async function createDevice(
  app: LiveUpdateApp,
  { builtIn = { 'index.html': 'built in' }, ...options }: Partial<NodeLiveUpdateOptions> & { builtIn?: Files } = {},
): Promise<Device> {
  const folder = join(fixture.folder, `device-${app.appId}-${Math.random()}`)
  for (const [path, content] of Object.entries(builtIn)) {
    await mkdir(dirname(join(folder, 'built-in', path)), { recursive: true })
    await writeFile(join(folder, 'built-in', path), content)
  }
  const device: Pick<Device, 'downloads' | 'events' | 'tamper'> = {
    downloads: [],
    events: [],
    tamper: (_, bytes) => bytes,
  }
  const client = await createLiveUpdate({
    appId: app.appId,
    serverUrl: fixture.deps.publicUrl,
    channel: 'production',
    publicKey: key.publicPem,
    platformKey: platform.publicKey,
    platform: 'electron',
    appVersionCode: '10',
    appVersionName: '1.0.0',
    directory: join(folder, 'state'),
    builtInDirectory: join(folder, 'built-in'),
    ...options,
    world: {
      fetch: async (url, init) => {
        const response = await fixture.app.request(url, init)
        if (url.includes('/latest?')) return response
        const bytes = device.tamper(url, new Uint8Array(await response.arrayBuffer()))
        device.downloads.push({ url: new URL(url).pathname, bytes: bytes.length })
        return new Response(bytes, response)
      },
    },
  })
  client.subscribe((event) => {
    if (event.type === 'acquired') device.events.push(`acquired ${event.source}`)
    if (event.type === 'fell-back') device.events.push(`fell back from ${event.source}: ${event.code}`)
  })
  return Object.assign(device, client)
}

/** Starts the app, says that it works, and gives its page. */
async function startApp(device: LiveUpdate): Promise<string> {
  const { directory, nonce } = await device.launch()
  await device.ready(nonce)
  return readFile(join(directory, 'index.html'), 'utf8')
}

const patchesOf = (app: LiveUpdateApp, bundleId: string): Promise<Patch[]> =>
  app.must<Patch[]>('GET', `/bundles/${bundleId}/patches`)

const storedObjects = async (app: LiveUpdateApp): Promise<string[]> =>
  (await keysBelow(fixture, `orgs/${org.id}/apps/${app.appId}/`)).filter((key) => key.includes('/patches/'))

test('a device goes from one version to the next by a patch that is a fraction of what changed', async () => {
  const app = await createApp()
  const device = await createDevice(app)
  const one = await publish(app, webBuild(1), 1)
  await device.sync()
  expect(await startApp(device)).toBe(webBuild(1)['index.html'])
  expect(device.events).toEqual(['acquired archive'])

  const two = await publish(app, webBuild(2), 2)
  // Publishing waits for no patch, and devices need not either.
  expect(await patchesOf(app, two.id)).toMatchObject([{ fromBundleId: one.id, status: 'wanted', improving: true }])
  const early = await createDevice(app)
  await early.sync()
  expect(early.events).toEqual(['acquired archive'])

  expect(await makeDue()).toBe(2)
  const [patch] = await patchesOf(app, two.id)
  expect(patch).toMatchObject({ status: 'offered', improving: false, refusal: null })
  device.downloads.length = 0
  expect((await device.sync()).status).toBe('staged')
  expect(device.events).toEqual(['acquired archive', 'acquired patch'])
  const path = `/v1/apps/${app.appId}/bundles/${two.id}/patches/${patch!.sha256}`
  expect(device.downloads).toEqual([{ url: path, bytes: patch!.sizeBytes }])
  expect(patch!.sizeBytes).toBeLessThan(two.zip.length / 10)
  expect(await startApp(device)).toBe(webBuild(2)['index.html'])
})

test('the patch is there for the bundle that a device names, and for no other', async () => {
  const app = await createApp()
  const one = await publish(app, webBuild(1), 1)
  const two = await publish(app, webBuild(2), 2)
  await makeDue()
  const ask = async (bundleId: string): Promise<unknown> => {
    const query = `appVersionCode=1&bundleId=${bundleId}&channelName=production&deviceId=d&platform=2`
    return (await (await app.latest(query)).json<{ patches?: unknown }>()).patches
  }
  const [patch] = await patchesOf(app, two.id)
  const url = `${fixture.deps.publicUrl}/v1/apps/${app.appId}/bundles/${two.id}/patches/${patch!.sha256}`
  expect(await ask(one.id)).toEqual([{ from: sha256(one.zip), url, sizeBytes: patch!.sizeBytes }])
  for (const other of ['', two.id, app.appId, 'no-uuid']) expect(await ask(other)).toBe(undefined)
})

test('the answer with its bytes may be kept for ever, and one that is not offered is refused', async () => {
  const app = await createApp()
  await publish(app, webBuild(1), 1)
  const two = await publish(app, webBuild(2), 2)
  await makeDue()
  const [patch] = await patchesOf(app, two.id)
  const path = `/v1/apps/${app.appId}/bundles/${two.id}/patches`
  const answer = await fixture.request('GET', `${path}/${patch!.sha256}`)
  expect(answer.headers.get('cache-control')).toContain('immutable')
  expect(answer.headers.get('content-length')).toBe(String(patch!.sizeBytes))
  expect(sha256(new Uint8Array(await answer.arrayBuffer()))).toBe(patch!.sha256)
  expect((await fixture.request('GET', `${path}/${'0'.repeat(64)}`)).status).toBe(404)
})

describe('a device falls back to the archive', () => {
  const damages: [string, (bytes: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>][] = [
    ['a damaged patch', (bytes) => bytes.with(30, (bytes[30] ?? 0) ^ 255)],
    ['a patch cut short', (bytes) => bytes.slice(0, bytes.length / 2)],
    ['a patch that is an error page', () => new TextEncoder().encode('<h1>not a patch</h1>')],
    ['a patch longer than announced', (bytes) => new Uint8Array([...bytes, 0])],
  ]
  const devices = new Map<string, Device>()
  beforeAll(async () => {
    const app = await createApp()
    await publish(app, webBuild(1), 1)
    for (const [what, damage] of damages) {
      const device = await createDevice(app)
      await device.sync()
      await startApp(device)
      device.tamper = (url, bytes) => (url.includes('/patches/') ? damage(bytes) : bytes)
      devices.set(what, device)
    }
    await publish(app, webBuild(2), 2)
    await makeDue()
  })

  test.each(damages)('after %s', async (what) => {
    const device = devices.get(what)!
    expect((await device.sync()).status).toBe('staged')
    expect(device.events.slice(1)).toEqual([expect.stringContaining('fell back from patch'), 'acquired archive'])
    expect(await startApp(device)).toBe(webBuild(2)['index.html'])
  })

  test('when its installed files are not what they were', async () => {
    const app = await createApp()
    const device = await createDevice(app)
    await publish(app, webBuild(1), 1)
    await device.sync()
    const { directory, nonce } = await device.launch()
    await device.ready(nonce)
    await publish(app, webBuild(2), 2)
    await makeDue()
    await writeFile(join(directory, 'assets/logo.svg'), '<svg>changed</svg>')
    device.downloads.length = 0
    expect((await device.sync()).status).toBe('staged')
    expect(device.events.slice(1)).toEqual(['fell back from patch: PATCH_MISMATCH', 'acquired archive'])
    expect(device.downloads.map(({ url }) => url)).toEqual([expect.stringContaining('/download')])
  })
})

test('a patch leads away from the bundle that the app was shipped with', async () => {
  const app = await createApp()
  const shipped = await publish(app, webBuild(1), 1)
  const between: string[] = []
  for (let n = 2; n <= 6; n++) between.push((await publish(app, { 'index.html': `small ${n}` }, n)).id)
  const latest = await publish(app, webBuild(9), 9)
  const froms = async (): Promise<string[]> => (await patchesOf(app, latest.id)).map((patch) => patch.fromBundleId)
  expect(await froms()).toHaveLength(5)
  expect(await froms()).not.toContain(shipped.id)
  await app.must('PUT', '/embedded-bundles/electron/10', { bundleId: shipped.id })
  expect(await froms()).toContain(shipped.id)
  for (const id of between) await app.must('DELETE', `/bundles/${id}`)
  await makeDue()
  const device = await createDevice(app, { builtIn: webBuild(1), builtInBundleId: shipped.id })
  expect((await device.sync()).status).toBe('staged')
  expect(device.events).toEqual(['acquired patch'])
  expect(await startApp(device)).toBe(webBuild(9)['index.html'])
  const next = await publish(app, webBuild(10), 10)
  expect((await patchesOf(app, next.id)).map((patch) => patch.fromBundleId)).toContain(shipped.id)
})

test('what is no smaller than the changed files is not offered', async () => {
  const app = await createApp()
  await publish(app, { 'index.html': 'one' }, 1)
  const two = await publish(app, { 'index.html': 'a' }, 2)
  await makeDue()
  expect(await patchesOf(app, two.id)).toMatchObject([
    { status: 'refused', improving: false, refusal: 'It is not smaller than the changed files.' },
  ])
  expect(await storedObjects(app)).toEqual([])
})

test('patches go with either bundle, bytes and all', async () => {
  const app = await createApp()
  const one = await publish(app, webBuild(1), 1)
  const two = await publish(app, webBuild(2), 2)
  const three = await publish(app, webBuild(3), 3)
  await makeDue()
  // Nobody asks for the way to two any more.
  expect(await storedObjects(app)).toHaveLength(2)
  await app.must('DELETE', `/bundles/${one.id}`)
  expect((await patchesOf(app, three.id)).map((patch) => patch.fromBundleId)).toEqual([two.id])
  expect(await storedObjects(app)).toHaveLength(1)
  await app.must('DELETE', `/bundles/${three.id}`)
  expect(await storedObjects(app)).toEqual([])
})

test('a bundle that is deleted while its patch is made leaves nothing behind', async () => {
  const app = await createApp()
  await publish(app, webBuild(1), 1)
  const two = await publish(app, webBuild(2), 2)
  const objects = fixture.deps.objects
  const deleting: typeof objects = {
    ...objects,
    get: objects.get.bind(objects),
    delete: objects.delete.bind(objects),
    async put(...args) {
      await app.must('DELETE', `/bundles/${two.id}`)
      return objects.put(...args)
    },
  }
  const deps = { db: control.db, objects: deleting, log: pino({ level: 'silent' }), now: () => new Date() }
  expect(await makePatches(deps, never)).toBe(1)
  expect(await storedObjects(app)).toEqual([])
})

test('a control process that stops gives its patch back, and another one makes it', async () => {
  const app = await createApp()
  await publish(app, webBuild(1), 1)
  const two = await publish(app, webBuild(2), 2)
  const stop = new AbortController()
  const { objects } = fixture.deps
  const stopping: typeof objects = {
    ...objects,
    get: (key, options) => {
      stop.abort()
      return objects.get(key, options)
    },
  }
  await makeDue(stop.signal, stopping)
  expect(stop.signal.aborted).toBe(true)
  expect(await patchesOf(app, two.id)).toMatchObject([{ status: 'wanted' }])
  await makeDue()
  expect(await patchesOf(app, two.id)).toMatchObject([{ status: 'offered' }])
})

test('a long line of one organization does not keep another waiting', async () => {
  const rival = await fixture.createOrganization('Rival')
  const quiet = await createApp(rival)
  for (const version of [1, 2]) await publish(quiet, webBuild(version), version)
  // Newer than what the other waits for, and more.
  const busy = await createApp()
  for (const version of [1, 2, 3, 4]) await publish(busy, webBuild(version), version)
  const served: string[] = []
  const stop = new AbortController()
  const { objects } = fixture.deps
  const watched: typeof objects = {
    ...objects,
    put: (key, body, options) => {
      served.push(key.split('/')[1] ?? '')
      if (served.length === 2) stop.abort()
      return objects.put(key, body, options)
    },
  }
  const deps = { db: control.db, objects: watched, log: pino({ level: 'silent' }), now: () => new Date() }
  await makePatches(deps, stop.signal)
  expect(new Set(served)).toEqual(new Set([org.id, rival.id]))
  for (const app of [quiet, busy]) await app.must('DELETE', '')
})

test('two control processes never make the same patch', async () => {
  const app = await createApp()
  await publish(app, webBuild(1), 1)
  const two = await publish(app, webBuild(2), 2)
  await Promise.all([makeDue(), makeDue()])
  await makeDue()
  expect(await patchesOf(app, two.id)).toMatchObject([{ status: 'offered', improving: false }])
  expect(await storedObjects(app)).toHaveLength(1)
})
