import { inflateSync } from 'node:zlib'
import { artifacts, builds, buildShares, withOrg } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import {
  claimed,
  createTestApp,
  queueBuild,
  sourceZip,
  storeArtifact,
  type TestApp,
  underLease,
} from './build-fixture.js'
import { createFixture, type Fixture } from './fixture.js'

let fixture: Fixture
let app: TestApp
let buildId: string
let artifactId: string
let offsetMs = 0
const bytes = sourceZip('to be shared')

beforeAll(async () => {
  fixture = await createFixture({ overrides: { now: () => new Date(Date.now() + offsetMs) } })
  app = await createTestApp(fixture)
  const worker = await fixture.createWorker()
  const build = await queueBuild(fixture, app)
  const claim = await claimed(fixture, worker, build.id)
  buildId = build.id
  expect((await share()).status).toBe(409)
  artifactId = await storeArtifact(fixture, claim, bytes, { fileName: 'app b.zip' })
  await underLease(fixture, claim, 'finish', { status: 'succeeded' })
})
afterAll(() => fixture[Symbol.asyncDispose]())
beforeEach(() => {
  offsetMs = 0
})

type Share = { id: string; url: string; expiresAt: string; code: string }
const ask = (method: string, path: string, body?: unknown, token = app.token) =>
  fixture.request(method, `/v1/apps/${app.id}/builds/${buildId}/shares${path}`, { token, ...(body ? { body } : {}) })
const share = (body: Record<string, unknown> = {}, token?: string) => ask('POST', '', body, token)
const open = (id: string, path = '') => fixture.request('GET', `/app-build-shares/${id}${path}`)

test('a share shows its page to whoever has the link, until it expires', async () => {
  const made = await (await share({ description: '<script>alert(1)</script>' })).json<Share>()
  expect(made.url).toBe(`http://capstan.test/app-build-shares/${made.id}`)
  expect(await (await ask('GET', '')).json<Share[]>()).toContainEqual(made)
  const page = await open(made.id)
  const html = await page.text()
  expect(page.status).toBe(200)
  expect(html).toContain('&lt;script&gt;alert(1)&lt;/script&gt;')
  expect(html).not.toContain('<script')
  expect(html).toContain(`/app-build-shares/${made.id}/artifacts/${artifactId}`)
  const policy = page.headers.get('content-security-policy')
  expect(policy).toContain("default-src 'none'")
  expect(policy).not.toContain('unsafe')
  expect(page.headers.get('referrer-policy')).toBe('no-referrer')
  offsetMs = 31 * 24 * 60 * 60_000
  expect((await open(made.id)).status).toBe(404)
  expect((await open(made.id, `/artifacts/${artifactId}`)).status).toBe(404)
})

test('its file is downloaded without a token, through a link that is short-lived', async () => {
  const { id } = await (await share()).json<Share>()
  const answer = await open(id, `/artifacts/${artifactId}`)
  expect(answer.status).toBe(302)
  const file = await fixture.request('GET', new URL(answer.headers.get('location') ?? '').pathname)
  expect(new Uint8Array(await file.arrayBuffer())).toEqual(bytes)
  expect((await open(id, `/artifacts/${buildId}`)).status).toBe(404)
})

test('a share that was taken back, or never was, shows nothing', async () => {
  const { id } = await (await share()).json<Share>()
  expect((await ask('DELETE', `/${id}`)).status).toBe(204)
  expect((await ask('DELETE', `/${id}`)).status).toBe(404)
  for (const unknown of [id, buildId, '00000000-0000-4000-8000-000000000000']) {
    expect((await open(unknown)).status).toBe(404)
  }
})

test('is made by those who may build, for no longer than a year, and for nobody else’s build', async () => {
  const far = new Date(Date.now() + 400 * 24 * 60 * 60_000).toISOString()
  for (const expiresAt of [far, new Date(Date.now() - 1000).toISOString(), 'tomorrow']) {
    expect((await share({ expiresAt })).status).toBe(422)
  }
  expect((await share({}, app.org.tokens.viewer)).status).toBe(403)
  expect((await share({}, (await fixture.createOrganization()).tokens.owner)).status).toBe(404)
  const rows = await withOrg(fixture.deps.db, app.org.id, (tx) => tx.select({ id: buildShares.id }).from(buildShares))
  // All random: no part of it tells when it was made.
  for (const { id } of rows) expect(id[14]).toBe('4')
})

test('iOS is given what it needs to install an app, and a build without one has none', async () => {
  const { id } = await (await share()).json<Share>()
  expect((await open(id, '/manifest.plist')).status).toBe(404)
  await withOrg(fixture.deps.db, app.org.id, async (tx) => {
    await tx.update(artifacts).set({ type: 'ipa' }).where(eq(artifacts.id, artifactId))
    await tx.update(builds).set({ packageName: 'com.example.app' }).where(eq(builds.id, buildId))
  })
  const manifest = await (await open(id, '/manifest.plist')).text()
  expect(manifest).toContain('<key>bundle-identifier</key><string>com.example.app</string>')
  expect(manifest).toContain(`<string>http://capstan.test/app-build-shares/${id}/artifacts/${artifactId}</string>`)
  expect(await (await open(id)).text()).toContain('itms-services://?action=download-manifest&amp;url=http%3A%2F%2F')
})

test('a QR code is a PNG of the page, and drawn for nothing else', async () => {
  const { url } = await (await share()).json<Share>()
  const draw = (content: string) =>
    fixture.request('GET', `/v1/qrcodes?content=${encodeURIComponent(content)}&format=png`)
  const picture = Buffer.from(await (await draw(url)).arrayBuffer())
  expect(picture.subarray(1, 4).toString('latin1')).toBe('PNG')
  const width = picture.readUInt32BE(16)
  expect(picture.readUInt32BE(20)).toBe(width)
  const dataBytes = picture.readUInt32BE(33)
  const rows = inflateSync(picture.subarray(41, 41 + dataBytes))
  expect(rows).toHaveLength(width * (1 + Math.ceil(width / 8)))
  // The corner of the finder pattern, four cells in, is dark; the quiet zone around it is light.
  const dark = (x: number, y: number) =>
    ((rows.readUInt8(y * (1 + Math.ceil(width / 8)) + 1 + (x >> 3)) >> (7 - (x & 7))) & 1) === 0
  expect([dark(4 * 8, 4 * 8), dark(3 * 8, 3 * 8)]).toEqual([true, false])
  for (const other of ['https://evil.example/', 'javascript:alert(1)', `${url}/x`]) {
    expect((await draw(other)).status).toBe(422)
  }
})
