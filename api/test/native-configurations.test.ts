import { afterAll, beforeAll, expect, test } from 'vitest'
import { claimed, createTestApp, queueBuild, type TestApp } from './build-fixture.js'
import { createFixture, type Fixture } from './fixture.js'

let fixture: Fixture
let app: TestApp

beforeAll(async () => {
  fixture = await createFixture()
  app = await createTestApp(fixture)
})
afterAll(() => fixture[Symbol.asyncDispose]())

type Body = { id: string } & Record<string, unknown>
const ask = (method: string, path: string, body?: unknown, token = app.token) =>
  fixture.request(method, `/v1/apps/${app.id}/configurations${path}`, {
    token,
    ...(body === undefined ? {} : { body }),
  })
const create = async (body: unknown) => (await ask('POST', '', body)).json<Body>()

test('a native configuration is kept, found, changed and deleted', async () => {
  const made = await create({ name: 'Staging', displayName: 'App (staging)', packageName: 'com.example.app.staging' })
  expect(made).toMatchObject({ name: 'Staging', displayName: 'App (staging)', packageName: 'com.example.app.staging' })
  expect(await (await ask('GET', '?name=staging')).json()).toEqual([made])
  expect(await (await ask('GET', '?query=tag')).json()).toEqual([made])
  expect(await (await ask('GET', '?name=Stag')).json()).toEqual([])
  const changed = await (await ask('PATCH', `/${made.id}`, { displayName: null })).json<Body>()
  expect(changed).toMatchObject({ displayName: null, packageName: 'com.example.app.staging' })
  expect(await (await ask('GET', `/${made.id}`)).json()).toEqual(changed)
  expect((await ask('DELETE', '?name=STAGING')).status).toBe(204)
  expect((await ask('GET', `/${made.id}`)).status).toBe(404)
})

test('a build keeps the names that it was requested with', async () => {
  const worker = await fixture.createWorker()
  const { id } = await create({ name: 'Beta', displayName: 'Beta', packageName: 'com.example.beta' })
  const build = await queueBuild(fixture, app, { platform: 'android', appConfigurationName: 'beta' })
  await ask('PATCH', `/${id}`, { packageName: 'com.example.later' })
  const { spec } = await claimed(fixture, worker, build.id)
  expect(spec.overrides).toEqual({ displayName: 'Beta', packageName: 'com.example.beta' })
  const shown = await fixture.request('GET', `/v1/apps/${app.id}/builds/${build.id}`, { token: app.token })
  expect(await shown.json()).toMatchObject({ appConfigurationId: id })
})

test.each([
  ['a package name that is none', { name: 'X', packageName: 'app; rm -rf /' }, 422],
  ['a display name of two lines', { name: 'X', displayName: 'a\nb' }, 422],
  ['no name', { name: ' ' }, 422],
  ['a name that is taken', { name: 'taken' }, 409],
])('%s is refused', async (_name, body, status) => {
  await create({ name: 'Taken' })
  expect((await ask('POST', '', body)).status).toBe(status)
})

test('is nothing to another organization, and not for a viewer to change', async () => {
  const { id } = await create({ name: 'Ours' })
  const stranger = (await fixture.createOrganization()).tokens.owner
  for (const method of ['GET', 'DELETE']) expect((await ask(method, `/${id}`, undefined, stranger)).status).toBe(404)
  expect((await ask('PATCH', `/${id}`, { name: 'x' }, stranger)).status).toBe(404)
  expect((await ask('PATCH', `/${id}`, { name: 'x' }, app.org.tokens.viewer)).status).toBe(403)
})
