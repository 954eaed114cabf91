import { afterAll, beforeAll, expect, test } from 'vitest'
import { createFixture, type Fixture } from './fixture.js'
import { android, type Body, createKeyPair, createLiveUpdateApp, zipOf } from './live-update-app.js'

let fixture: Fixture

beforeAll(async () => {
  fixture = await createFixture()
})
afterAll(() => fixture[Symbol.asyncDispose]())

test('every change of live updates leaves its event, and what devices and readers do leaves none', async () => {
  const org = await fixture.createOrganization()
  const app = await createLiveUpdateApp(fixture, org)
  const key = createKeyPair()
  const content = zipOf({ 'index.html': 'x' })
  const channel = await app.must('POST', '/channels', { name: 'production' })
  const added = await app.must('POST', '/public-keys', { pem: key.publicPem })
  const { bundle, response } = await app.publishZip(content, {
    bundle: { channelName: 'production' },
    signature: key.sign(content),
  })
  const { appDeploymentId } = await response.json<Body>()
  await app.latest(android('production', 'phone'))
  await app.latest(android('production', 'phone'), org.tokens.viewer)
  await app.must('GET', '/devices/phone')
  await app.must('POST', '/deployments', { appBuildId: bundle.appBuildId, appChannelId: channel.id })
  await app.must('PATCH', `/deployments/${appDeploymentId}`, { rolloutPercentage: 0.5 })
  await app.must('PATCH', '/devices?ids=phone', { forcedAppChannelId: channel.id })
  await app.must('PATCH', '/devices/phone', { forcedAppChannelId: null })
  await app.must('DELETE', '/devices/phone')
  await app.must('DELETE', `/public-keys/${added.id}`)
  await app.must('DELETE', `/bundles/${bundle.id}`)
  const exported = await fixture.request('GET', `/v1/organizations/${org.id}/audit-events/export`, {
    token: org.tokens.owner,
  })
  const events = (await exported.text())
    .trim()
    .split('\n')
    .map((line) => JSON.parse((JSON.parse(line) as { event: string }).event) as { action: string; actor: object })
  expect(events.map((event) => event.action)).toEqual([
    'app.created',
    'channel.created',
    'public-key.added',
    'bundle.created',
    'bundle-file.added',
    'bundle.readied',
    'deployment.created',
    'deployment.created',
    'deployment.updated',
    'device.channel-forced',
    'device.channel-freed',
    'device.deleted',
    'public-key.revoked',
    'bundle.deleted',
  ])
  for (const { actor } of events) expect(actor).toMatchObject({ type: 'user', id: org.userIds.admin })
})
