import { afterAll, beforeAll, expect, test } from 'vitest'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'
import { android, createLiveUpdateApp, type LiveUpdateApp, zipOf } from './live-update-app.js'

let fixture: Fixture
let org: TestOrganization
let app: LiveUpdateApp
let bundleId: string
const origin = 'https://app.example.test'

beforeAll(async () => {
  fixture = await createFixture()
  org = await fixture.createOrganization()
  app = await createLiveUpdateApp(fixture, org)
  await app.must('POST', '/channels', { name: 'production' })
  bundleId = (await app.publishZip(zipOf({ 'index.html': 'web' }), { bundle: { channelName: 'production' } })).bundle.id
})
afterAll(() => fixture[Symbol.asyncDispose]())

const preflight = (path: string, method: string, headers = 'x-capawesome-device-id') =>
  fixture.request('OPTIONS', path, {
    headers: { origin, 'access-control-request-method': method, 'access-control-request-headers': headers },
  })

test.each([
  ['GET', () => `${app.path}/bundles/latest`],
  ['GET', () => `${app.path}/bundles/${bundleId}/download`],
  ['GET', () => `${app.path}/channels`],
  ['GET', () => `${app.path}/roots`],
  ['GET', () => '/v1/platform-keys'],
  ['POST', () => `${app.path}/device-tokens`],
  ['POST', () => `${app.path}/telemetry`],
])('%s of a device route is open to a web app elsewhere', async (method, path) => {
  const answer = await preflight(path(), method)
  expect(answer.status).toBe(204)
  expect(answer.headers.get('access-control-allow-origin')).toBe('*')
  expect(answer.headers.get('access-control-allow-methods')).toContain(method)
  expect(answer.headers.get('access-control-allow-headers')).toContain('x-capawesome-device-id')
  expect(answer.headers.get('access-control-allow-credentials')).toBeNull()
})

test('answers, downloads and refusals can be read, with the headers that verification needs', async () => {
  for (const [rest, status] of [
    [`/bundles/latest?${android('production')}`, 200],
    [`/bundles/${bundleId}/download`, 200],
    ['/bundles/latest?platform=9', 422],
    [`/bundles/latest?${android('nowhere')}`, 404],
    ['/bundles/nonsense/download?href=x', 404],
  ] as const) {
    const answer = await fixture.request('GET', `${app.path}${rest}`, { headers: { origin } })
    expect([rest, answer.headers.get('access-control-allow-origin')]).toEqual([rest, '*'])
    expect(answer.headers.get('access-control-expose-headers')).toContain('x-signature')
    expect([rest, answer.status < 500, answer.status === status || rest.includes('nonsense')]).toEqual([
      rest,
      true,
      true,
    ])
  }
})

test('only telemetry may be sent a token from elsewhere', async () => {
  const headers = 'authorization'
  for (const rest of ['/bundles/latest', '/channels', '/roots', `/bundles/${bundleId}/download`]) {
    const answer = await preflight(`${app.path}${rest}`, 'GET', headers)
    expect(answer.headers.get('access-control-allow-headers')).not.toContain('authorization')
  }
  const telemetry = await preflight(`${app.path}/telemetry`, 'POST', headers)
  expect(telemetry.headers.get('access-control-allow-headers')).toContain('authorization')
})

test.each(['/v1/apps', '/v1/users/me', '/v1/organizations', '/v1/sessions'])('%s stays closed', async (path) => {
  const asked = await preflight(path, 'GET', 'authorization')
  expect(asked.headers.get('access-control-allow-origin')).toBeNull()
  const answer = await fixture.request('GET', path, { token: org.tokens.owner, headers: { origin } })
  expect(answer.headers.get('access-control-allow-origin')).toBeNull()
})
