import { afterAll, beforeAll, expect, test } from 'vitest'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'
import { android, createLiveUpdateApp, type LiveUpdateApp, refusal, type Body, zipOf } from './live-update-app.js'

let fixture: Fixture
let org: TestOrganization
let app: LiveUpdateApp

beforeAll(async () => {
  fixture = await createFixture()
  org = await fixture.createOrganization()
  app = await createLiveUpdateApp(fixture, org)
})
afterAll(() => fixture[Symbol.asyncDispose]())

test('a channel is created, found by its exact name, changed, paused, resumed and deleted', async () => {
  const created = await app.must('POST', '/channels', { appId: app.appId, name: 'production', protected: true })
  expect(created).toMatchObject({ name: 'production', appDeploymentId: null, pausedAt: null, totalAppDevices: 0 })
  expect(created.protectedAt).not.toBeNull()
  await app.must('POST', '/channels', { name: 'production-2' })
  expect(await app.must('GET', '/channels?name=production')).toMatchObject([{ id: created.id }])
  expect(await app.must('GET', '/channels?name=PRODUCTION')).toEqual([])
  expect(await app.must('GET', '/channels?query=UCTION-')).toMatchObject([{ name: 'production-2' }])
  expect(await app.must('GET', '/channels?query=p%25n')).toEqual([])
  expect(await app.must('GET', '/channels?')).toHaveLength(2)
  expect(await app.must('GET', '/channels?limit=1&offset=1')).toMatchObject([{ id: created.id }])

  const one = `/channels/${created.id}`
  const body = { appId: app.appId, appChannelId: created.id, name: 'live', protected: false }
  expect(await app.must('PATCH', one, body)).toMatchObject({ name: 'live', protectedAt: null })
  expect(await app.must('GET', `${one}?relations=appDeployment`)).toMatchObject({ name: 'live', appDeployment: null })
  expect(await app.must('GET', one)).not.toHaveProperty('appDeployment')
  expect((await app.must('POST', `${one}/pause`, {})).pausedAt).not.toBeNull()
  expect((await app.must('POST', `${one}/resume`, {})).pausedAt).toBeNull()
  await app.must('DELETE', one)
  await app.must('DELETE', '/channels?name=production-2')
  expect(await app.must('GET', '/channels')).toEqual([])
})

test('a second channel of the same name is refused, also by renaming; another app may use the name', async () => {
  await app.must('POST', '/channels', { name: 'beta' })
  const other = await app.must('POST', '/channels', { name: 'gamma' })
  expect(await refusal(await app.call('POST', '/channels', { name: 'beta' }), 409, 'channel-name-taken')).toContain(
    'beta',
  )
  await refusal(await app.call('PATCH', `/channels/${other.id}`, { name: 'beta' }), 409, 'channel-name-taken')
  const second = await createLiveUpdateApp(fixture, org, 'Second')
  await second.must('POST', '/channels', { name: 'beta' })
})

test('what is not there, or belongs to another app, is 404', async () => {
  const channel = await app.must('POST', '/channels', { name: 'mine' })
  const other = await createLiveUpdateApp(fixture, org, 'Other')
  await refusal(await other.call('GET', `/channels/${channel.id}`), 404, 'not-found')
  await refusal(await other.call('PATCH', `/channels/${channel.id}`, { name: 'x' }), 404, 'not-found')
  await refusal(await other.call('POST', `/channels/${channel.id}/pause`), 404, 'not-found')
  await refusal(await other.call('DELETE', `/channels/${channel.id}`), 404, 'not-found')
  await refusal(await other.call('DELETE', '/channels?name=mine'), 404, 'channel-unknown')
  const rival = await fixture.createOrganization('Rival')
  await refusal(await app.call('GET', '/channels', undefined, rival.tokens.owner), 404, 'not-found')
  expect((await app.call('GET', `/channels/${channel.id}`)).status).toBe(200)
})

test('a NUL character is refused wherever text is taken', async () => {
  await refusal(await app.call('POST', '/channels', { name: 'a\0b' }), 422, 'request-invalid')
  for (const path of ['/channels?name=%00', '/channels?query=%00', '/devices?query=%00', '/devices/%00']) {
    await refusal(await app.call('GET', path), 422, 'request-invalid')
  }
  await refusal(await app.call('GET', '/channels?query=%00', undefined, null), 422, 'request-invalid')
})

test('a viewer reads channels and changes none', async () => {
  expect((await app.call('GET', '/channels', undefined, org.tokens.viewer)).status).toBe(200)
  await refusal(await app.call('POST', '/channels', { name: 'v' }, org.tokens.viewer), 403, 'permission-missing')
})

test('devices discover ids and names once the app allows it, and nothing before', async () => {
  const shop = await createLiveUpdateApp(fixture, org, 'Discovery')
  const channel = await shop.must('POST', '/channels', { name: 'a+b c' })
  await shop.must('POST', '/channels', { name: 'other' })
  await refusal(
    await shop.call('GET', '/channels?limit&offset&query', undefined, null),
    401,
    'channel-discovery-disabled',
  )
  await shop.must('PATCH', '', { appChannelDiscoveryEnabled: true })
  const ask = async (query: string) => (await shop.call('GET', `/channels?${query}`, undefined, null)).json<Body>()
  expect(await ask('limit&offset&query')).toHaveLength(2)
  expect(await ask('query=a%2Bb%20c')).toEqual([{ id: channel.id, name: 'a+b c' }])
  expect(await ask('query=a+b')).toEqual([{ id: channel.id, name: 'a+b c' }])
  expect(await ask('limit=1&offset=1')).toEqual([expect.objectContaining({ name: 'other' })])
  expect((await shop.call('GET', '/channels', undefined, 'ca_wrong')).status).toBe(401)
})

test('a channel and an app in use are deleted with what hangs on them', async () => {
  const used = await createLiveUpdateApp(fixture, org, 'Used')
  const channel = await used.must('POST', '/channels', { name: 'production' })
  await used.must('PATCH', '', { appChannelId: channel.id })
  const publish = () => used.publishZip(zipOf({ 'index.html': 'x' }), { bundle: { channelName: 'production' } })
  await publish()
  expect((await used.latest(android('production', 'phone'))).status).toBe(200)
  await used.must('PATCH', '/devices/phone', { forcedAppChannelId: channel.id })
  await used.must('DELETE', `/channels/${channel.id}`)
  expect(await used.must('GET', '')).toMatchObject({ appChannelId: null })
  expect(await used.must('GET', '/devices/phone')).toMatchObject({ forcedAppChannelId: null })
  expect(await used.must('GET', '/deployments')).toEqual([])
  const again = await used.must('POST', '/channels', { name: 'production' })
  await used.must('PATCH', '', { appChannelId: again.id })
  await publish()
  await used.must('DELETE', '')
  await refusal(await used.latest(android('production', 'phone')), 404, 'not-found')
})

test('every change is in the audit chain', async () => {
  const audited = await createLiveUpdateApp(fixture, org, 'Audited')
  const channel = await audited.must('POST', '/channels', { name: 'log' })
  await audited.must('PATCH', `/channels/${channel.id}`, { protected: true })
  await audited.must('POST', `/channels/${channel.id}/pause`)
  await audited.must('POST', `/channels/${channel.id}/resume`)
  await audited.must('DELETE', `/channels/${channel.id}`)
  const events = await fixture.request('GET', `/v1/organizations/${org.id}/audit-events?limit=5`, {
    token: org.tokens.owner,
  })
  const actions = (await events.json<{ event: string }[]>()).map(
    (row) => (JSON.parse(row.event) as { action: string }).action,
  )
  expect(actions).toEqual([
    'channel.deleted',
    'channel.resumed',
    'channel.paused',
    'channel.updated',
    'channel.created',
  ])
})
