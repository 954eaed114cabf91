import { setImmediate } from 'node:timers/promises'
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
  const open = await Promise.all(
    Array.from({ length: 8 }, () => app.must('POST', '/bundles', { channelName: 'production' })),
  )
  for (const { id } of open) await app.sendFile(id, { content: zipOf({ 'index.html': id }) })
  const published = Promise.all([
    ...open.map(({ id }) => app.call('PATCH', `/bundles/${id}`, { artifactStatus: 'ready' })),
    app.call('DELETE', `/bundles/${doomed.bundle.id}`),
  ])
  const others = [
    () => app.call('POST', '/deployments', { appBuildId: spare.bundle.appBuildId, appChannelName: 'production' }),
    () => app.call('POST', `/channels/${channel.id}/pause`),
    () => app.call('POST', `/channels/${channel.id}/resume`),
    () => app.call('PATCH', '', { appChannelId: channel.id }),
    () => app.call('POST', '/bundles', { url: 'https://cdn.example.test/x.zip', channelName: 'production' }),
    () => app.latest(android('production', 'device')),
  ]
  const state = { isPublished: false }
  const until = published.finally(() => (state.isPublished = true))
  const repeated = others.map(async (call) => {
    const answers = []
    do {
      answers.push(await call())
      // An answer from memory waits for nothing, and would leave nobody else a turn.
      await setImmediate()
    } while (!state.isPublished)
    return answers
  })
  const answers = [...(await until), ...(await Promise.all(repeated)).flat()]
  for (const answer of answers) expect(answer.status, await answer.text()).toBeLessThan(500)
  const [newest] = await app.must<Body[]>('GET', `/deployments?appChannelId=${channel.id}`)
  expect(await app.must('GET', `/channels/${channel.id}`)).toMatchObject({ appDeploymentId: newest?.id })
})
