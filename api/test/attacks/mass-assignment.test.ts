import { apps, builds, bundles, channels, jobs, withOrg } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { queueBuild, uploadSource } from '../build-fixture.js'
import { createFixture, type Fixture, type TestOrganization } from '../fixture.js'
import { createLiveUpdateApp, type LiveUpdateApp } from '../live-update-app.js'

const STRANGE = '018f0000-0000-7000-8000-00000000dead'
/** Sent as text, so that `__proto__` is a key of the document and not of this object. */
const extra = `"id":"${STRANGE}","org_id":"${STRANGE}","orgId":"${STRANGE}","organizationId":"${STRANGE}",
  "role":"owner","state":"approved","status":"succeeded","fence":99,"attempt":99,"sha256":"${'e'.repeat(64)}",
  "created_by":"${STRANGE}","createdBy":"${STRANGE}","userId":"${STRANGE}","objectKey":"orgs/x","number":4711,
  "nextBuildNumber":4711,"readyAt":"2020-01-01T00:00:00Z","tokenHash":"${'e'.repeat(64)}",
  "__proto__":{"polluted":true,"role":"owner"},"constructor":{"prototype":{"polluted":true}}`

let fixture: Fixture
let org: TestOrganization
let app: LiveUpdateApp

beforeAll(async () => {
  fixture = await createFixture()
  org = await fixture.createOrganization()
  app = await createLiveUpdateApp(fixture, org)
})
afterAll(() => fixture[Symbol.asyncDispose]())

async function send(method: string, path: string, fields: object, token = org.tokens.owner) {
  const inner = JSON.stringify(fields).slice(1, -1)
  const answer = await fixture.request(method, path, {
    token,
    body: `{${[inner, extra].filter(Boolean).join(',')}}`,
    headers: { 'content-type': 'application/json' },
  })
  const text = await answer.text()
  expect(answer.status, text).toBeLessThan(300)
  expect(text).not.toContain(STRANGE)
  expect(text).not.toContain('polluted')
  return JSON.parse(text) as Record<string, string>
}

test('an app belongs to the organization of its caller, whatever the body says', async () => {
  const created = await send('POST', '/v1/apps', { name: 'Extra' })
  expect(created).toMatchObject({ organizationId: org.id, name: 'Extra', nextAppBuildNumber: 1 })
  await send('PATCH', `/v1/apps/${created.id}`, { name: 'Changed' })
  const [row] = await withOrg(fixture.deps.db, org.id, (tx) => tx.select().from(apps).where(eq(apps.id, created.id!)))
  expect(row).toMatchObject({ orgId: org.id, name: 'Changed', nextBuildNumber: 1 })
})

test('a build is numbered, owned and queued by the platform', async () => {
  const testApp = { id: app.appId, org, token: org.tokens.member }
  const appBuildSourceId = await uploadSource(fixture, testApp)
  const created = await send('POST', `${app.path}/builds`, { platform: 'web', appBuildSourceId }, org.tokens.member)
  await send('PATCH', `${app.path}/builds/${created.id}`, { displayName: 'x' }, org.tokens.member)
  const rows = await withOrg(fixture.deps.db, org.id, (tx) =>
    tx.select().from(builds).innerJoin(jobs, eq(jobs.buildId, builds.id)).where(eq(builds.id, created.id!)),
  )
  expect(rows[0]).toMatchObject({
    builds: { orgId: org.id, number: 1, createdBy: org.userIds.member },
    jobs: { status: 'queued', attempt: 0, createdBy: org.userIds.member },
  })
})

test('a job can be canceled by its route and nothing else', async () => {
  const build = await queueBuild(fixture, { id: app.appId, org, token: org.tokens.member })
  const refused = await fixture.request('PATCH', `/v1/jobs/${build.jobId}`, {
    token: org.tokens.owner,
    body: { status: 'succeeded' },
  })
  expect(refused.status).toBe(422)
})

test('bundles and channels take what their routes name and no more', async () => {
  const bundle = await send('POST', `${app.path}/bundles`, { artifactType: 'zip' })
  await send('PATCH', `${app.path}/bundles/${bundle.id}`, {})
  const channel = await send('POST', `${app.path}/channels`, { name: 'beta' })
  await send('PATCH', `${app.path}/channels/${channel.id}`, { name: 'beta2' })
  const [bundleRow, channelRow] = await withOrg(fixture.deps.db, org.id, async (tx) => [
    (await tx.select().from(bundles).where(eq(bundles.id, bundle.id!)))[0],
    (await tx.select().from(channels).where(eq(channels.id, channel.id!)))[0],
  ])
  expect(bundleRow).toMatchObject({ orgId: org.id, status: 'pending', readyAt: null, createdBy: org.userIds.owner })
  expect(channelRow).toMatchObject({ orgId: org.id, name: 'beta2', appDeploymentId: null })
})

test('a token acts as its creator, with a secret of our own making', async () => {
  const created = await send('POST', `/v1/organizations/${org.id}/tokens`, { name: 'ci' }, org.tokens.admin)
  const me = await fixture.request('GET', '/v1/users/me', { token: created.token! })
  expect(await me.json()).toMatchObject({ id: org.userIds.admin })
})

test('nothing reached the prototype of every object', () => {
  expect(({} as Record<string, unknown>).polluted).toBeUndefined()
  expect(Object.prototype).not.toHaveProperty('role')
})

test('names that objects have of themselves are plain names of properties', async () => {
  const created = await fixture.request('POST', `${app.path}/bundles`, {
    token: org.tokens.owner,
    body: '{"artifactType":"zip","customProperties":{"__proto__":"a","constructor":"b","toString":"c"}}',
    headers: { 'content-type': 'application/json' },
  })
  expect(created.status).toBe(201)
  expect(Object.keys(Object.prototype)).toEqual([])
})
