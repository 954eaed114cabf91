import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Answer, createFixture, type Fixture, type TestOrganization } from './fixture.js'
import {
  android,
  createKeyPair,
  createLiveUpdateApp,
  type LiveUpdateApp,
  refusal,
  sha256,
  zipOf,
  type Body,
} from './live-update-app.js'

let fixture: Fixture
let org: TestOrganization
let clock: Date | null = null

beforeAll(async () => {
  fixture = await createFixture({ overrides: { now: () => clock ?? new Date() } })
  org = await fixture.createOrganization()
})
afterAll(() => fixture[Symbol.asyncDispose]())

const zip = (text: string) => zipOf({ 'index.html': text })

async function createChannelApp(name: string, channelName = 'production') {
  const app = await createLiveUpdateApp(fixture, org, name)
  const channel = await app.must('POST', '/channels', { name: channelName })
  const publish = async (text: string, bundle: object = {}) => {
    const published = await app.publishZip(zip(text), { bundle: { channelName, ...bundle } })
    expect(published.response.status, await published.response.clone().text()).toBe(200)
    return { ...published.bundle, ...(await published.response.json<Body>()) } as {
      id: string
      appBuildId: string
      appDeploymentId: string
    }
  }
  return { app, channel, publish }
}

const bundleOf = async (response: Answer) => {
  const text = await response.clone().text()
  expect(response.status, text).toBe(200)
  return ((await response.json<Body>()) as { bundleId: string }).bundleId
}
const devices = Array.from({ length: 200 }, (_, index) => `00000000-0000-4000-8000-${String(index).padStart(12, '0')}`)

describe('the answer', () => {
  test('has exactly the keys and types that strict clients parse', async () => {
    const { app, publish } = await createChannelApp('Strict')
    const bundle = await publish('one', { customProperties: { a: 'b' } })
    const response = await app.latest(android('production'))
    expect(await response.json<Body>()).toEqual({
      artifactType: 'zip',
      bundleId: bundle.id,
      channelName: 'production',
      checksum: sha256(zip('one')),
      signature: null,
      customProperties: { a: 'b' },
      url: `http://capstan.test${app.path}/bundles/${bundle.id}/download`,
    })
    expect(response.headers.get('cache-control')).toBe('no-store')
  })

  test('is found with null as a bare key, as an empty value and as no key at all', async () => {
    const { app, channel, publish } = await createChannelApp('Nulls')
    const bundle = await publish('one')
    await refusal(await app.latest('platform=0&channelName&customId'), 404, 'no-update')
    await app.must('PATCH', '', { appChannelId: channel.id })
    for (const query of ['platform=0&channelName&customId', 'platform=1&channelName=', 'platform=1']) {
      expect(await bundleOf(await app.latest(query))).toBe(bundle.id)
    }
  })

  test.each([
    ['a plus that Android encodes', 'beta+1', 'channelName=beta%2B1'],
    ['a plus that iOS leaves', 'beta+1', 'channelName=beta+1'],
    ['a space that devices encode', 'beta 1', 'channelName=beta%201'],
    ['a space that the CLI sends as plus', 'beta 1', 'channelName=beta+1'],
    ['letters outside ASCII', 'prüfung', 'channelName=pr%C3%BCfung'],
  ])('is found for %s', async (_name, channelName, query) => {
    const { app, publish } = await createChannelApp('Encoding', channelName)
    const bundle = await publish('one')
    expect(await bundleOf(await app.latest(`platform=1&${query}`))).toBe(bundle.id)
  })

  test.each([
    ['platform missing', 'channelName=production', 422, 'request-invalid'],
    ['platform unknown', 'platform=9', 422, 'request-invalid'],
    ['broken percent-encoding', 'platform=0&channelName=%E0%A4%A', 400, 'request-malformed'],
    ['a NUL', 'platform=0&channelName=%00', 400, 'request-malformed'],
    ['an endless device id', `platform=0&channelName=production&deviceId=${'x'.repeat(150)}`, 422, 'request-invalid'],
  ])('is refused for %s', async (_name, query, status, code) => {
    const { app } = await createChannelApp('Bad')
    await refusal(await app.latest(query), status, code)
  })

  test('of an app that does not exist is 404', async () => {
    const { app } = await createChannelApp('Absent')
    const path = app.path.replace(app.appId, '018f0000-0000-7000-8000-000000000000')
    await refusal(await fixture.request('GET', `${path}/bundles/latest?${android('production')}`), 404, 'not-found')
  })
})

describe('no update', () => {
  test('for an unknown channel, one without deployment, a paused and an expired one', async () => {
    const { app, channel, publish } = await createChannelApp('Closed')
    expect(await refusal(await app.latest(android('productoin')), 404, 'no-update')).toContain('productoin')
    expect(await refusal(await app.latest(android('production')), 404, 'no-update')).toContain('no deployment')
    const bundle = await publish('one')
    expect(await bundleOf(await app.latest(android('production')))).toBe(bundle.id)
    await app.must('POST', `/channels/${channel.id}/pause`)
    expect(await refusal(await app.latest(android('production')), 404, 'no-update')).toContain('paused')
    await app.must('POST', `/channels/${channel.id}/resume`)
    await app.must('PATCH', `/channels/${channel.id}`, { expiresAt: new Date(Date.now() + 3_600_000).toISOString() })
    expect(await bundleOf(await app.latest(android('production')))).toBe(bundle.id)
    clock = new Date(Date.now() + 3_700_000)
    try {
      expect(await refusal(await app.latest(android('production')), 404, 'no-update')).toContain('expired')
    } finally {
      clock = null
    }
  })

  test('while a bundle is pending', async () => {
    const { app, publish } = await createChannelApp('Pending')
    const first = await publish('one')
    const pending = await app.must('POST', '/bundles', { channelName: 'production' })
    await app.sendFile(pending.id, { content: zip('two') })
    expect(await bundleOf(await app.latest(android('production')))).toBe(first.id)
  })

  test.each([
    [{ minAndroidAppVersionCode: '11' }, 0, '10', false],
    [{ minAndroidAppVersionCode: '10', maxAndroidAppVersionCode: 10 }, 0, '10', true],
    [{ maxAndroidAppVersionCode: '9' }, 0, '10', false],
    [{ eqAndroidAppVersionCode: '10' }, 0, '10', false],
    [{ eqAndroidAppVersionCode: '11' }, 0, '10', true],
    [{ minIosAppVersionCode: '1.10.0' }, 1, '1.9.3', false],
    [{ minIosAppVersionCode: '1.9.3' }, 1, '1.10', true],
    [{ minIosAppVersionCode: '1.9.3' }, 1, '', false],
    [{ minIosAppVersionCode: '99' }, 0, '10', true],
    [{ minAndroidAppVersionCode: '99', minIosAppVersionCode: '99' }, 2, '1.0.0', true],
  ])(
    'for a native version outside %j (platform %i, version %j): offered %j',
    async (limits, platform, code, offered) => {
      const { app, publish } = await createChannelApp('Native')
      const bundle = await publish('one', limits)
      const response = await app.latest(`platform=${platform}&channelName=production&appVersionCode=${code}`)
      if (offered) expect(await bundleOf(response)).toBe(bundle.id)
      else expect(await refusal(response, 404, 'no-update')).toContain('native version')
    },
  )
})

describe('a rollout', () => {
  test('reaches its share, keeps the rest on the bundle before, and only grows', async () => {
    const { app, publish } = await createChannelApp('Rollout')
    const before = await publish('one')
    const next = await publish('two', { rolloutPercentage: 0.3 })
    const seen = async () =>
      Promise.all(devices.map(async (id) => bundleOf(await app.latest(android('production', id)))))
    const first = await seen()
    const share = first.filter((id) => id === next.id).length / devices.length
    expect(share).toBeGreaterThan(0.1)
    expect(share).toBeLessThan(0.5)
    expect(new Set(first)).toEqual(new Set([before.id, next.id]))
    expect(await seen()).toEqual(first)
    const patched = await app.must('PATCH', `/deployments/${next.appDeploymentId}`, {
      appId: app.appId,
      appDeploymentId: next.appDeploymentId,
      rolloutPercentage: 0.6,
    })
    expect(patched).toMatchObject({ id: next.appDeploymentId, rolloutPercentage: 0.6 })
    const wider = await seen()
    expect(wider.filter((id) => id === next.id).length).toBeGreaterThan(first.filter((id) => id === next.id).length)
    for (const [index, id] of first.entries()) if (id === next.id) expect(wider[index]).toBe(next.id)
    await app.must('PATCH', `/deployments/${next.appDeploymentId}`, { rolloutPercentage: 1 })
    expect(new Set(await seen())).toEqual(new Set([next.id]))
  })

  test('of 0 reaches nobody, and without a bundle before there is no update', async () => {
    const { app, publish } = await createChannelApp('Nobody')
    await publish('one', { rolloutPercentage: 0 })
    expect(await refusal(await app.latest(android('production')), 404, 'no-update')).toContain('rollout')
  })

  test('is undone by deploying the build before once more', async () => {
    const { app, channel, publish } = await createChannelApp('Rollback')
    const before = await publish('one')
    const bad = await publish('two')
    expect(await bundleOf(await app.latest(android('production')))).toBe(bad.id)
    const list = await app.must<Body[]>('GET', `/deployments?appChannelId=${channel.id}&limit=5&relations=appBuild`)
    expect(list.map((row) => row.appBuildId)).toEqual([bad.appBuildId, before.appBuildId])
    const body = { appId: app.appId, appBuildId: before.appBuildId, appChannelName: 'production' }
    const rollback = await app.must('POST', '/deployments', body)
    expect(rollback).toMatchObject({ rolloutPercentage: 1, jobId: null })
    expect(await bundleOf(await app.latest(android('production')))).toBe(before.id)
    const shown = await app.must('GET', `/channels/${channel.id}?relations=appDeployment`)
    expect(shown).toMatchObject({ totalAppDeployments: 3, appDeployment: { id: rollback.id } })
  })
})

describe('a deployment', () => {
  test.each([
    [{ appChannelName: 'none' }, 404, 'channel-unknown'],
    [{}, 422, 'request-invalid'],
    [{ appDestinationName: 'Play' }, 422, 'request-invalid'],
    [{ appChannelName: 'production', rolloutPercentage: 2 }, 422, 'request-invalid'],
    [{ appChannelName: 'production', appBuildId: '018f0000-0000-7000-8000-000000000000' }, 404, 'not-found'],
  ])('with %j is refused', async (extra, status, code) => {
    const { app, publish } = await createChannelApp('Refused')
    const { appBuildId } = await publish('one')
    await refusal(await app.call('POST', '/deployments', { appBuildId, ...extra }), status, code)
    expect((await app.call('POST', '/deployments', { appBuildId, appChannelName: 'production' })).status).toBe(201)
  })

  test('of a bundle that is not ready is refused', async () => {
    const { app } = await createChannelApp('Unready')
    const { appBuildId } = await app.must('POST', '/bundles', {})
    const response = await app.call('POST', '/deployments', { appBuildId, appChannelName: 'production' })
    await refusal(response, 409, 'bundle-not-ready')
  })

  test('of another app is not found', async () => {
    const { app, publish } = await createChannelApp('Left')
    const right = await createChannelApp('Right')
    const { appBuildId, appDeploymentId } = await publish('one')
    await refusal(await right.app.call('GET', `/deployments/${appDeploymentId}`), 404, 'not-found')
    await refusal(
      await right.app.call('PATCH', `/deployments/${appDeploymentId}`, { rolloutPercentage: 0 }),
      404,
      'not-found',
    )
    const foreign = { appBuildId, appChannelName: 'production' }
    await refusal(await right.app.call('POST', '/deployments', foreign), 404, 'not-found')
    expect(await app.must('GET', `/deployments/${appDeploymentId}?relations=appBuild,job`)).toMatchObject({
      appBuild: { id: appBuildId },
    })
  })
})

describe('a download', () => {
  let app: LiveUpdateApp
  let path: string
  const content = zipOf({ 'index.html': 'x'.repeat(3000), 'b.txt': 'y' })
  const key = createKeyPair()

  beforeAll(async () => {
    app = await createLiveUpdateApp(fixture, org, 'Download')
    const { bundle } = await app.publishZip(content, { signature: key.sign(content) })
    path = `${app.path}/bundles/${bundle.id}/download`
  })
  const get = (headers: Record<string, string> = {}) => fixture.request('GET', path, { headers })

  test('is the exact bytes, with their length, checksum and signature, cacheable for good', async () => {
    const response = await get({ 'accept-encoding': 'gzip, br' })
    expect(response.status).toBe(200)
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'content-length': String(content.byteLength),
      'content-type': 'application/zip',
      'x-checksum': sha256(content),
      'x-signature': key.sign(content),
      'accept-ranges': 'bytes',
      'cache-control': expect.stringContaining('immutable'),
      'content-disposition': expect.stringContaining('attachment'),
      'content-security-policy': expect.stringContaining('sandbox'),
    })
    expect(response.headers.get('content-encoding')).toBeNull()
    expect(sha256(new Uint8Array(await response.arrayBuffer()))).toBe(sha256(content))
  })

  test.each([
    ['bytes=0-9', 0, 10],
    ['bytes=10-', 10, content.byteLength],
    ['bytes=-5', content.byteLength - 5, content.byteLength],
    ['bytes=5-999999', 5, content.byteLength],
  ])('answers the range %s', async (range, start, end) => {
    const response = await get({ range })
    expect(response.status).toBe(206)
    expect(response.headers.get('content-range')).toBe(`bytes ${start}-${end - 1}/${content.byteLength}`)
    expect(new Uint8Array(await response.arrayBuffer())).toEqual(content.slice(start, end))
  })

  test('refuses a range past the end, and ignores one it does not understand', async () => {
    await refusal(await get({ range: `bytes=${content.byteLength}-` }), 416, 'range-invalid')
    for (const range of ['bytes=0-1,4-5', 'lines=1-2', 'bytes=9-2']) expect((await get({ range })).status).toBe(200)
    expect((await get({ range: 'bytes=0-1', 'if-range': '"old"' })).status).toBe(200)
  })

  test('is described to who asks for its head alone', async () => {
    const response = await fixture.request('HEAD', path)
    expect(response.status).toBe(200)
    expect(response.headers.get('content-length')).toBe(String(content.byteLength))
    expect(response.headers.get('x-checksum')).toBe(sha256(content))
    expect(await response.text()).toBe('')
  })

  test('is not sent again to who has it', async () => {
    const response = await get({ 'if-none-match': `"${sha256(content)}"` })
    expect(response.status).toBe(304)
    expect(await response.text()).toBe('')
  })

  test('of what is not there carries a checksum that no file has', async () => {
    for (const other of [`${path}?href=index.html`, path.replace(/bundles\/[^/]+/, `bundles/${app.appId}`)]) {
      const response = await fixture.request('GET', other)
      expect(response.headers.get('x-checksum')).toBe('0')
      expect(await refusal(response, 404, 'not-found')).toBe('File not found.')
    }
  })
})
