import { afterAll, beforeAll, expect, test } from 'vitest'
import { createFixture, type Fixture } from './fixture.js'
import { android, type Body, createLiveUpdateApp, zipOf } from './live-update-app.js'

let fixture: Fixture

beforeAll(async () => {
  fixture = await createFixture()
})
afterAll(() => fixture[Symbol.asyncDispose]())

test('everything at once ends without a deadlock, and the newest deployment is the current one', async () => {
  const app = await createLiveUpdateApp(fixture, await fixture.createOrganization())
  const channel = await app.must('POST', '/channels', { name: 'production' })
  await app.must('POST', '/channels', { name: 'spare' })
  const spare = await app.publishZip(zipOf({ 'index.html': 'spare' }), { bundle: { channelName: 'spare' } })
  const doomed = await app.publishZip(zipOf({ 'index.html': 'doomed' }), { bundle: { channelName: 'production' } })
  const work = Array.from({ length: 6 }, (_, index) => [
    app
      .publishZip(zipOf({ 'index.html': String(index) }), { bundle: { channelName: 'production' } })
      .then((p) => p.response),
    app.call('POST', '/deployments', { appBuildId: spare.bundle.appBuildId, appChannelName: 'production' }),
    app.call('POST', `/channels/${channel.id}/${index % 2 ? 'pause' : 'resume'}`),
    app.call('PATCH', '', { appChannelId: channel.id }),
    app.call('POST', '/bundles', { url: 'https://cdn.example.test/x.zip', channelName: 'production' }),
    app.latest(android('production', `device-${index}`)),
  ]).flat()
  const answers = await Promise.all([...work, app.call('DELETE', `/bundles/${doomed.bundle.id}`)])
  for (const answer of answers) expect(answer.status, await answer.clone().text()).toBeLessThan(500)
  const [newest] = await app.must<Body[]>('GET', `/deployments?appChannelId=${channel.id}`)
  expect(await app.must('GET', `/channels/${channel.id}`)).toMatchObject({ appDeploymentId: newest?.id })
})
