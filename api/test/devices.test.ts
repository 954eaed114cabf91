import { afterAll, beforeAll, expect, test } from 'vitest'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'
import { android, createLiveUpdateApp, type LiveUpdateApp, refusal, zipOf, type Body } from './live-update-app.js'

let fixture: Fixture
let org: TestOrganization
let app: LiveUpdateApp
let channels: Record<'production' | 'beta', { id: string; bundleId: string; deploymentId: string }>
const id = '5d0cbb0d-6f4f-4d3c-9df2-0d3a6c8f2a11'

beforeAll(async () => {
  fixture = await createFixture()
  org = await fixture.createOrganization()
  app = await createLiveUpdateApp(fixture, org)
  const make = async (channelName: string) => {
    const channel = await app.must('POST', '/channels', { name: channelName })
    const { bundle, response } = await app.publishZip(zipOf({ 'index.html': channelName }), { bundle: { channelName } })
    return { id: channel.id, bundleId: bundle.id, deploymentId: (await response.json<Body>()).appDeploymentId }
  }
  channels = { production: await make('production'), beta: await make('beta') }
})
afterAll(() => fixture[Symbol.asyncDispose]())

test('a device is known once it has asked, with what it said', async () => {
  await refusal(await app.call('GET', `/devices/${id}`), 404, 'not-found')
  await app.latest(android('production', id).replace('customId&', 'customId=user%2B7&'))
  const device = await app.must('GET', `/devices/${id}?relations=appChannel`)
  expect(device).toMatchObject({
    id,
    appVersionCode: '10',
    appVersionName: '1.0.0',
    osVersion: '34',
    platform: 0,
    pluginVersion: '8.4.3',
    customId: 'user+7',
    appChannel: { name: 'production' },
    appDeploymentId: null,
    bundleId: null,
    forcedAppChannelId: null,
  })
  const { bundleId, deploymentId } = channels.production
  await app.latest(android('production', id).replace('bundleId&', `bundleId=${bundleId}&`))
  expect(await app.must('GET', `/devices/${id}`)).toMatchObject({
    bundleId,
    appDeploymentId: deploymentId,
    customId: null,
  })
  await app.latest(android('production', id).replace('bundleId&', 'bundleId=public&'))
  expect(await app.must('GET', `/devices/${id}`)).toMatchObject({ bundleId: null, appDeploymentId: null })
  expect(await app.must('GET', '/devices?query=5d0cbb')).toHaveLength(1)
  expect((await app.must('GET', `/channels/${channels.production.id}`)).totalAppDevices).toBe(1)
})

test('a device is known also when there is no update for it', async () => {
  await refusal(await app.latest(android('nowhere', 'lost-device')), 404, 'no-update')
  expect(await app.must('GET', '/devices/lost-device?relations=appChannel')).toMatchObject({ appChannel: null })
})

test('a probe answers as for the device and leaves no trace', async () => {
  const probe = await app.latest(android('production', 'probed'), org.tokens.viewer)
  expect((await probe.json<Body>()).bundleId).toBe(channels.production.bundleId)
  await refusal(await app.call('GET', '/devices/probed'), 404, 'not-found')
  await refusal(await app.latest(android('production', 'probed'), 'ca_wrong'), 401, 'token-invalid')
  const rival = await fixture.createOrganization('Rival')
  await refusal(await app.latest(android('production', 'probed'), rival.tokens.owner), 404, 'not-found')
})

test('a forced channel beats the one that is asked for until it is lifted', async () => {
  for (const device of ['a', 'b']) await app.latest(android('production', device))
  const bundleOf = async (device: string) =>
    (await (await app.latest(android('production', device))).json<Body>()) as object
  const changed = await app.must('PATCH', '/devices?ids=a,b', { forcedAppChannelId: channels.beta.id })
  expect(changed).toHaveLength(2)
  expect(await bundleOf('a')).toMatchObject({ bundleId: channels.beta.bundleId, channelName: 'beta' })
  expect(await app.must('GET', '/devices/a?relations=appChannel')).toMatchObject({
    forcedAppChannelId: channels.beta.id,
    appChannel: { name: 'production' },
  })
  await app.must('PATCH', '/devices/a', { forcedAppChannelId: null })
  expect(await bundleOf('a')).toMatchObject({ bundleId: channels.production.bundleId })
  expect(await bundleOf('b')).toMatchObject({ bundleId: channels.beta.bundleId })
  await app.must('PATCH', `/channels/${channels.beta.id}`, { expiresAt: '2020-01-01T00:00:00Z' })
  expect(await refusal(await app.latest(android('production', 'b')), 404, 'no-update')).toContain('beta')
  await app.must('PATCH', `/channels/${channels.beta.id}`, { expiresAt: null })
})

test('forcing is all or nothing, and only to a channel of the app', async () => {
  await app.latest(android('production', 'known'))
  const body = { forcedAppChannelId: channels.beta.id }
  expect(await refusal(await app.call('PATCH', '/devices?ids=known,unknown', body), 404, 'not-found')).toContain(
    'unknown',
  )
  expect(await app.must('GET', '/devices/known')).toMatchObject({ forcedAppChannelId: null })
  const other = await createLiveUpdateApp(fixture, org, 'Other')
  const foreign = await other.must('POST', '/channels', { name: 'foreign' })
  const wrong = await app.call('PATCH', '/devices?ids=known', { forcedAppChannelId: foreign.id })
  await refusal(wrong, 404, 'not-found')
  await refusal(await app.call('PATCH', '/devices?ids=', body), 422, 'request-invalid')
  await refusal(await app.call('PATCH', '/devices/known', {}), 422, 'request-invalid')
  await refusal(await app.call('PATCH', '/devices/known', body, org.tokens.viewer), 403, 'permission-missing')
  expect((await app.call('PATCH', '/devices/known', body)).status).toBe(200)
})

test('a device is forgotten, and comes back by asking', async () => {
  await app.latest(android('production', 'forgotten'))
  await app.must('DELETE', '/devices/forgotten')
  await refusal(await app.call('GET', '/devices/forgotten'), 404, 'not-found')
  await refusal(await app.call('DELETE', '/devices/forgotten'), 404, 'not-found')
  await app.latest(android('production', 'forgotten'))
  expect((await app.call('GET', '/devices/forgotten')).status).toBe(200)
})
