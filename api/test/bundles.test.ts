import { brotliDecompressSync } from 'node:zlib'
import { validateArchive } from '@capstan/sdk/archive'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Answer, createFixture, type Fixture, type TestOrganization } from './fixture.js'
import {
  android,
  createKeyPair,
  createLiveUpdateApp,
  type KeyPair,
  type LiveUpdateApp,
  refusal,
  sha256,
  zipOf,
  type Body,
} from './live-update-app.js'

let fixture: Fixture
let org: TestOrganization
let app: LiveUpdateApp
const page = { 'index.html': '<h1>one</h1>', 'assets/app.js': 'console.log(1)' }
const MANIFEST = 'capawesome-live-update-manifest.json'

beforeAll(async () => {
  fixture = await createFixture()
  org = await fixture.createOrganization()
  app = await createLiveUpdateApp(fixture, org)
  await app.must('POST', '/channels', { name: 'production' })
})
afterAll(() => fixture[Symbol.asyncDispose]())

describe('a zip bundle', () => {
  test('is created, uploaded, made ready and deployed to the channel that was named', async () => {
    const zip = zipOf(page)
    const created = await app.must('POST', '/bundles', {
      appId: app.appId,
      artifactType: 'zip',
      channelName: 'production',
      rolloutPercentage: 1,
      customProperties: { ticket: 'A-1' },
      gitRef: 'main',
      unknownKey: true,
    })
    expect(created).toMatchObject({ artifactStatus: 'pending', appDeploymentId: null })
    const file = await app.sendFile(created.id, { content: zip })
    expect(file.status).toBe(201)
    const body = { artifactStatus: 'ready', appBundleFileId: (await file.json<Body>()).id, appBundleId: created.id }
    const ready = await app.must('PATCH', `/bundles/${created.id}`, body)
    expect(ready).toMatchObject({ artifactStatus: 'ready', checksum: sha256(zip), appBuildId: created.appBuildId })
    expect(ready.appDeploymentId).toMatch(/^[0-9a-f-]{36}$/)
    expect(await app.must('PATCH', `/bundles/${created.id}`, body)).toEqual(ready)
    const [deployment] = await app.must<[Body]>('GET', '/deployments?limit=5&relations=appBuild,job')
    expect(deployment).toMatchObject({
      id: ready.appDeploymentId,
      appBuildId: created.appBuildId,
      appChannelName: 'production',
      appBuild: { numberAsString: '1', platform: 'web', customProperties: { ticket: 'A-1' } },
      job: { status: 'succeeded', finishedAt: expect.any(String) },
    })
  })

  test('without a channel is kept and deployed nowhere', async () => {
    const { response } = await app.publishZip(zipOf(page))
    expect(await response.json<Body>()).toMatchObject({ artifactStatus: 'ready', appDeploymentId: null })
  })

  test('for a channel that does not exist is refused at once', async () => {
    const response = await app.call('POST', '/bundles', { channelName: 'prodution' })
    expect(await refusal(response, 404, 'channel-unknown')).toContain('"prodution"')
  })

  test.each([
    ['truncated', (zip: Uint8Array) => zip.slice(0, zip.length - 30), /ARCHIVE_/],
    ['not a zip', () => new TextEncoder().encode('<html>not a zip at all, but long enough</html>'), /ARCHIVE_/],
    ['damaged inside', (zip: Uint8Array) => damaged(zip), /ARCHIVE_/],
    ['without index.html', () => zipOf({ 'main.js': '1' }), /no index\.html/],
  ])('that is %s is refused with the reason, and the bundle stays pending', async (_name, make, reason) => {
    const { bundle, response } = await app.publishZip(new Uint8Array(make(zipOf(page))), {
      bundle: { channelName: 'production' },
    })
    expect(await refusal(response, 422, 'bundle-archive-invalid')).toMatch(reason)
    await refusal(await download(bundle.id), 404, 'not-found')
  })

  test('with index.html in a folder is accepted, as devices accept it', async () => {
    const { response } = await app.publishZip(zipOf({ 'www/index.html': 'x' }))
    expect(response.status).toBe(200)
  })

  test('whose bytes differ from the declared checksum or size is refused, and sending it right works', async () => {
    const bundle = await app.must('POST', '/bundles', {})
    const content = zipOf(page)
    const wrongSum = await app.sendFile(bundle.id, { content, checksum: sha256('other') })
    expect(await refusal(wrongSum, 422, 'bundle-file-invalid')).toContain(sha256(content))
    const wrongSize = await app.sendFile(bundle.id, { content, sizeInBytes: content.byteLength + 1 })
    expect(await refusal(wrongSize, 422, 'bundle-file-invalid')).toContain('sizeInBytes')
    expect((await app.sendFile(bundle.id, { content })).status).toBe(201)
  })

  test('takes the same file twice, also at the same time, and never another one', async () => {
    const bundle = await app.must('POST', '/bundles', {})
    const content = zipOf(page)
    const answers = await Promise.all([1, 2, 3, 4].map(() => app.sendFile(bundle.id, { content })))
    const ids = await Promise.all(answers.map(async (answer) => (await answer.json<Body>()).id))
    expect(new Set(ids).size).toBe(1)
    await refusal(await app.sendFile(bundle.id, { content: zipOf({ 'index.html': 'two' }) }), 409, 'bundle-immutable')
    await app.must('PATCH', `/bundles/${bundle.id}`, { artifactStatus: 'ready' })
    expect((await app.sendFile(bundle.id, { content })).status).toBe(201)
    await refusal(await app.sendFile(bundle.id, { content: zipOf({ 'index.html': 'two' }) }), 409, 'bundle-immutable')
    const stored: string[] = []
    for await (const { key } of fixture.deps.objects.list(`orgs/${org.id}/apps/${app.appId}/bundles/${bundle.id}/`)) {
      stored.push(key)
    }
    expect(stored).toHaveLength(1)
  })

  test('is not ready before its file is there', async () => {
    const bundle = await app.must('POST', '/bundles', {})
    const ready = () => app.call('PATCH', `/bundles/${bundle.id}`, { artifactStatus: 'ready' })
    await refusal(await ready(), 422, 'bundle-incomplete')
    await app.sendFile(bundle.id, { checksum: sha256('x'), sizeInBytes: 12_000_000 })
    expect(await refusal(await ready(), 422, 'bundle-incomplete')).toContain('not finished')
  })

  test('takes no paths', async () => {
    const bundle = await app.must('POST', '/bundles', {})
    const response = await app.sendFile(bundle.id, { content: zipOf(page), href: 'index.html' })
    expect(await refusal(response, 422, 'bundle-file-invalid')).toContain('href')
  })

  test('is deleted with its deployment and its bytes', async () => {
    const gone = await createLiveUpdateApp(fixture, org, 'Gone')
    await gone.must('POST', '/channels', { name: 'production' })
    const { bundle } = await gone.publishZip(zipOf(page), { bundle: { channelName: 'production' } })
    expect((await gone.latest(android('production'))).status).toBe(200)
    await gone.must('DELETE', `/bundles/${bundle.id}`)
    await refusal(await gone.latest(android('production')), 404, 'no-update')
    for await (const { key } of fixture.deps.objects.list(`orgs/${org.id}/apps/${gone.appId}/`)) expect(key).toBe('')
  })
})

describe('a file of 10 MiB and more', () => {
  const big = zipOf({ 'index.html': 'x', 'big.bin': 'a'.repeat(100) })

  async function open(content: Uint8Array, checksum = sha256(content)) {
    const bundle = await app.must('POST', '/bundles', {})
    const file = await app.sendFile(bundle.id, { checksum, sizeInBytes: content.byteLength })
    const fileId = (await file.json<Body>()).id
    const base = `/bundles/${bundle.id}/files/${fileId}/upload`
    const { uploadId } = await app.must('POST', `${base}?action=mpu-create`, {})
    const put = async (partNumber: number, bytes: Uint8Array<ArrayBuffer>) => {
      const form = new FormData()
      form.append('blob', new Blob([bytes]), 'bundle.zip')
      form.append('partNumber', String(partNumber))
      const path = `${app.path}${base}?action=mpu-uploadpart&uploadId=${uploadId}`
      return (await fixture.request('PUT', path, { token: app.token, body: form })).json<Body>()
    }
    const complete = (parts: unknown[]) =>
      app.call('POST', `${base}?action=mpu-complete&uploadId=${uploadId}`, { parts })
    return { bundle, fileId, put, complete }
  }

  test('arrives in parts, in any order, and is checked as a whole', async () => {
    const { bundle, fileId, put, complete } = await open(big)
    const second = await put(2, big.slice(100))
    const first = await put(1, big.slice(0, 100))
    expect((await complete([first, second])).status).toBe(200)
    expect((await complete([first, second])).status).toBe(200)
    const ready = await app.must('PATCH', `/bundles/${bundle.id}`, { artifactStatus: 'ready', appBundleFileId: fileId })
    expect(ready.checksum).toBe(sha256(big))
    expect(sha256(new Uint8Array(await (await download(bundle.id)).arrayBuffer()))).toBe(sha256(big))
  })

  test('is refused when the joined bytes are not the declared ones', async () => {
    const { bundle, put, complete } = await open(big, sha256('something else'))
    const parts = [await put(1, big)]
    expect(await refusal(await complete(parts), 422, 'bundle-file-invalid')).toContain(sha256(big))
    const ready = await app.call('PATCH', `/bundles/${bundle.id}`, { artifactStatus: 'ready' })
    await refusal(ready, 422, 'bundle-incomplete')
  })
})

describe('a manifest bundle', () => {
  const items = (files: Record<string, string>) =>
    Object.entries(files).map(([href, text]) => ({
      checksum: sha256(text),
      href,
      sizeInBytes: Buffer.byteLength(text),
    }))

  async function upload(files: Record<string, string>, manifest: unknown = items(files), to: LiveUpdateApp = app) {
    const bundle = await to.must('POST', '/bundles', { artifactType: 'manifest', channelName: 'production' })
    const all =
      manifest === null
        ? files
        : { ...files, [MANIFEST]: typeof manifest === 'string' ? manifest : JSON.stringify(manifest) }
    const answers = await Promise.all(
      Object.entries(all).map(([href, text]) =>
        to.sendFile(bundle.id, { content: new TextEncoder().encode(text), href, name: href.split('/').at(-1) ?? href }),
      ),
    )
    for (const answer of answers) expect(answer.status).toBe(201)
    return { bundle, response: await to.call('PATCH', `/bundles/${bundle.id}`, { artifactStatus: 'ready' }) }
  }

  test('becomes ready when every file is there, and is served by path', async () => {
    const files = { ...page, 'a+b c&d.txt': 'odd name', 'empty.txt': '' }
    const { bundle, response } = await upload({ ...files, '.DS_Store': 'not listed' }, items(files))
    expect(response.status, await response.clone().text()).toBe(200)
    const answer = await (await app.latest(android('production'))).json<Body>()
    expect(answer).toMatchObject({ artifactType: 'manifest', bundleId: bundle.id, checksum: null, signature: null })
    const get = (query: string) => fixture.request('GET', `${new URL(answer.url).pathname}?${query}`)
    expect(await (await get(`href=${MANIFEST}`)).json<Body>()).toHaveLength(4)
    for (const href of ['a%2Bb%20c%26d.txt', 'a+b%20c%26d.txt']) {
      const file = await get(`href=${href}`)
      expect(await file.text()).toBe('odd name')
      expect(file.headers.get('x-checksum')).toBe(sha256('odd name'))
    }
    expect(await (await get('href=empty.txt')).text()).toBe('')
    const missing = await get('href=assets/none.js')
    expect(missing.headers.get('x-checksum')).toBe('0')
    expect(await refusal(missing, 404, 'not-found')).toBe('File not found.')
    await refusal(await get(''), 404, 'not-found')
  })

  test.each([
    ['its manifest is missing', null, /manifest\.json was not uploaded/],
    ['its manifest is empty', '', /not JSON/],
    ['its manifest is truncated', JSON.stringify(items(page)).slice(0, -20), /not JSON/],
    ['its manifest is an object', { files: [] }, /not a list/],
    ['its manifest lists nothing', [], /not a list/],
    [
      'a listed file is missing',
      [...items(page), { checksum: sha256('x'), href: 'gone.js', sizeInBytes: 1 }],
      /gone\.js/,
    ],
    ['a checksum differs', items({ ...page, 'assets/app.js': 'other' }), /assets\/app\.js/],
    [
      'an item leaves its folder',
      [...items(page), { checksum: sha256('x'), href: '../x.js', sizeInBytes: 1 }],
      /ARCHIVE_NAME_UNSAFE/,
    ],
    ['a size differs', items(page).map((item) => ({ ...item, sizeInBytes: item.sizeInBytes + 1 })), /is not the file/],
  ])('is refused when %s', async (_name, manifest, reason) => {
    const { response } = await upload(page, manifest)
    expect(response.status).toBe(422)
    expect((await response.json<Body>()).message).toMatch(reason)
  })

  test.each(['../evil.js', '/etc/passwd', 'C:\\x', 'a\\b', 'a/../../b', 'a//b', './a', 'con.txt', 'x.', 'x\u0007'])(
    'refuses the unsafe path %j',
    async (href) => {
      const bundle = await app.must('POST', '/bundles', { artifactType: 'manifest' })
      const response = await app.sendFile(bundle.id, { content: new TextEncoder().encode('x'), href, name: 'x' })
      expect(await refusal(response, 422, 'bundle-file-invalid')).toMatch(/^href: /)
      const safe = await app.sendFile(bundle.id, { content: new TextEncoder().encode('x'), href: 'a/b.js', name: 'x' })
      expect(safe.status).toBe(201)
    },
  )

  test('refuses names that are one name on some devices', async () => {
    const { response } = await upload({ ...page, 'Assets/app.js': 'clash' })
    expect(await refusal(response, 422, 'bundle-file-invalid')).toContain('ARCHIVE_NAME_COLLISION')
  })
})

describe('a manifest bundle after another', () => {
  const encode = (text: string) => new TextEncoder().encode(text)

  async function publish(
    to: LiveUpdateApp,
    files: Record<string, string>,
    { channelName = 'production', key }: { channelName?: string; key?: KeyPair } = {},
  ) {
    const manifest = Object.entries(files).map(([href, text]) => ({
      checksum: sha256(text),
      href,
      sizeInBytes: text.length,
    }))
    const bundle = await to.must('POST', '/bundles', { artifactType: 'manifest', channelName })
    for (const [href, text] of Object.entries({ ...files, [MANIFEST]: JSON.stringify(manifest) })) {
      const signature = key ? { signature: key.sign(text) } : {}
      expect((await to.sendFile(bundle.id, { content: encode(text), href, name: 'file', ...signature })).status).toBe(
        201,
      )
    }
    return { bundle, response: await to.call('PATCH', `/bundles/${bundle.id}`, { artifactStatus: 'ready' }) }
  }
  const first = { 'index.html': 'i', 'a.js': 'A', 'b.js': 'B' }
  const createOwn = async (name: string) => {
    const own = await createLiveUpdateApp(fixture, org, name)
    await own.must('POST', '/channels', { name: 'production' })
    const from = async (bundleId: string) =>
      own.latest(android('production').replace('bundleId&', `bundleId=${bundleId}&`))
    return { own, from }
  }

  test.each([
    ['two files change places', { 'index.html': 'i', 'a.js': 'B', 'b.js': 'A' }],
    ['one becomes a copy of another', { 'index.html': 'i', 'a.js': 'A', 'b.js': 'A' }],
  ])('is a zip for devices that would mix files up when %s, and goes back as one', async (_name, files) => {
    const { own, from } = await createOwn('Copies')
    const one = await publish(own, first)
    const two = await publish(own, files)
    expect(two.response.status, await two.response.clone().text()).toBe(200)
    const offered = await (await from(one.bundle.id)).json<Body & { checksum: string }>()
    expect(offered).toMatchObject({ artifactType: 'zip', bundleId: two.bundle.id, signature: null })
    const zip = await fixture.request('GET', new URL(offered.url).pathname)
    expect(zip.headers.get('content-type')).toBe('application/zip')
    const bytes = new Uint8Array(await zip.arrayBuffer())
    expect(sha256(bytes)).toBe(offered.checksum)
    expect((await validateArchive(bytes)).filter(({ path }) => path !== MANIFEST)).toEqual(
      expect.arrayContaining(
        Object.entries(files).map(([path, text]) => ({ path, sha256: sha256(text), size: text.length })),
      ),
    )
    for (const other of [two.bundle.id, 'public']) {
      expect(await (await from(other)).json()).toMatchObject({ artifactType: 'manifest', bundleId: two.bundle.id })
    }
    expect(
      (await own.call('POST', '/deployments', { appBuildId: one.bundle.appBuildId, appChannelName: 'production' }))
        .status,
    ).toBe(201)
    const back = await (await from(two.bundle.id)).json<Body>()
    expect(back).toMatchObject({ bundleId: one.bundle.id })
    if (back.artifactType === 'zip') {
      expect((await fixture.request('GET', new URL(back.url).pathname)).status).toBe(200)
    }
  })

  test('is sent as brotli to who takes it, file by file, with the checksum of the content', async () => {
    const { own } = await createOwn('Brotli')
    const script = 'export const words = "the same words again and again";\n'.repeat(100)
    const { bundle } = await publish(own, { 'index.html': 'i', 'app.js': script })
    const path = `${own.path}/bundles/${bundle.id}/download?href=app.js`
    const get = (headers: Record<string, string>) => fixture.request('GET', path, { headers })
    const packed = await get({ 'accept-encoding': 'br;q=1.0, gzip;q=0.9' })
    const bytes = Buffer.from(await packed.arrayBuffer())
    expect(Object.fromEntries(packed.headers)).toMatchObject({
      'content-encoding': 'br',
      'content-length': String(bytes.length),
      vary: 'accept-encoding',
      'x-checksum': sha256(script),
    })
    expect(brotliDecompressSync(bytes).toString()).toBe(script)
    const etag = packed.headers.get('etag') ?? ''
    expect((await get({ 'accept-encoding': 'br', 'if-none-match': etag })).status).toBe(304)
    for (const encodings of ['gzip', 'br;q=0, gzip', 'identity']) {
      const plain = await get({ 'accept-encoding': encodings, 'if-none-match': etag })
      expect([encodings, plain.status, plain.headers.get('content-encoding')]).toEqual([encodings, 200, null])
      expect(await plain.text()).toBe(script)
    }
    const part = await get({ 'accept-encoding': 'br', range: 'bytes=0-5' })
    expect([part.status, await part.text()]).toEqual([206, 'export'])
    const page = await fixture.request('GET', path.replace('app.js', 'index.html'), {
      headers: { 'accept-encoding': 'br' },
    })
    expect([page.headers.get('content-encoding'), await page.text()]).toEqual([null, 'i'])
  })

  test('with signed files is refused when devices would mix them up: only the customer can sign a zip', async () => {
    const { own } = await createOwn('Signed copies')
    const key = createKeyPair()
    await own.must('POST', '/public-keys', { pem: key.publicPem })
    const one = await publish(own, first, { key })
    expect(one.response.status).toBe(200)
    const two = await publish(own, { 'index.html': 'i', 'a.js': 'B', 'b.js': 'A' }, { key })
    expect(await refusal(two.response, 422, 'bundle-copy-hazard')).toContain('"a.js"')
    expect(await (await own.latest(android('production'))).json<Body>()).toMatchObject({ bundleId: one.bundle.id })
  })

  test('is served when files change, come, go or move to a path of their own, and as a zip to a device it would harm', async () => {
    const { own, from } = await createOwn('Moves')
    const one = await publish(own, first)
    const two = await publish(own, { 'index.html': 'i2', 'c.js': 'A', 'b.js': 'B' })
    expect(two.response.status, await two.response.text()).toBe(200)
    const three = await publish(own, { 'index.html': 'i2', 'c.js': 'A', 'a.js': 'B' })
    expect(three.response.status, await three.response.text()).toBe(200)
    expect(await (await from(two.bundle.id)).json()).toMatchObject({
      artifactType: 'manifest',
      bundleId: three.bundle.id,
    })
    expect(await (await from(one.bundle.id)).json()).toMatchObject({ artifactType: 'zip', bundleId: three.bundle.id })
    expect((await own.latest(android('production'))).status).toBe(200)
  })
})

describe('a bundle at its own address', () => {
  const url = 'https://cdn.example.test/bundle.zip'

  test('is ready at once and answered with its declared checksum', async () => {
    const own = await createLiveUpdateApp(fixture, org, 'Own address')
    await own.must('POST', '/channels', { name: 'c' })
    const body = { url, checksum: sha256('zip'), channelName: 'c' }
    const created = await own.must('POST', '/bundles', body)
    expect(created).toMatchObject({ artifactStatus: 'ready', appDeploymentId: expect.any(String) })
    expect(await (await own.latest(android('c'))).json<Body>()).toMatchObject({ url, checksum: sha256('zip') })
    await refusal(await own.sendFile(created.id, { content: zipOf(page) }), 409, 'bundle-immutable')
  })

  test.each([
    ['http://cdn.example.test/x.zip', /https/],
    ['https://me:secret@cdn.example.test/x.zip', /password/],
    ['ftp://cdn.example.test/x.zip', /https/],
    ['nonsense', /url/],
  ])('%s is refused', async (bad, reason) => {
    expect(await refusal(await app.call('POST', '/bundles', { url: bad }), 422, 'request-invalid')).toMatch(reason)
  })
})

test.each([
  [{ rolloutPercentage: 1.5 }],
  [{ artifactType: 'tar' }],
  [{ minAndroidAppVersionCode: 'ten' }],
  [{ customProperties: { key: 7 } }],
  [{ customProperties: Object.fromEntries(Array.from({ length: 11 }, (_, index) => [`k${index}`, 'v'])) }],
  [{ checksum: sha256('x') }],
  [{ channelName: 'a\0b' }],
  [{ gitRef: 'a\0b' }],
  [{ customProperties: { 'a\0b': 'v' } }],
])('a bundle with %j is refused', async (body) => {
  await refusal(await app.call('POST', '/bundles', body), 422, 'request-invalid')
})

test('another app and another organization cannot touch a bundle', async () => {
  const bundle = await app.must('POST', '/bundles', {})
  const other = await createLiveUpdateApp(fixture, org, 'Neighbour')
  await refusal(await other.sendFile(bundle.id, { content: zipOf(page) }), 404, 'not-found')
  await refusal(await other.call('PATCH', `/bundles/${bundle.id}`, { artifactStatus: 'ready' }), 404, 'not-found')
  await refusal(await other.call('DELETE', `/bundles/${bundle.id}`), 404, 'not-found')
  const rival = await fixture.createOrganization('Rival')
  await refusal(await app.call('DELETE', `/bundles/${bundle.id}`, undefined, rival.tokens.owner), 404, 'not-found')
  await refusal(
    await app.call('DELETE', `/bundles/${bundle.id}`, undefined, org.tokens.viewer),
    403,
    'permission-missing',
  )
  await app.must('DELETE', `/bundles/${bundle.id}`)
})

function download(bundleId: string): Promise<Answer> {
  return fixture.request('GET', `${app.path}/bundles/${bundleId}/download`)
}

/** Flips one byte of the first file's packed content. */
function damaged(zip: Uint8Array): Uint8Array {
  const copy = zip.slice()
  const nameLength = new DataView(copy.buffer).getUint16(26, true)
  const at = 30 + nameLength + 2
  copy[at] = (copy[at] ?? 0) ^ 0xff
  return copy
}
