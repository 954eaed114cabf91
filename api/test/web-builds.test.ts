import { artifacts, builds, jobs, newId, withOrg } from '@capstan/migrations'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'
import {
  android,
  type Body,
  createLiveUpdateApp,
  type LiveUpdateApp,
  refusal,
  sha256,
  zipOf,
} from './live-update-app.js'

let fixture: Fixture
let org: TestOrganization
let app: LiveUpdateApp
const page = zipOf({ 'index.html': 'built by a worker' })

beforeAll(async () => {
  fixture = await createFixture()
  org = await fixture.createOrganization()
  app = await createLiveUpdateApp(fixture, org)
  await app.must('POST', '/channels', { name: 'production' })
  await app.must('POST', '/channels', { name: 'guarded', protected: true })
})
afterAll(() => fixture[Symbol.asyncDispose]())

type Made = { platform?: 'web' | 'android'; status?: 'succeeded' | 'in_progress'; content?: Uint8Array; number: number }

/** A build as a worker leaves it. */
async function makeBuild({ platform = 'web', status = 'succeeded', content = page, number }: Made): Promise<string> {
  const [buildId, jobId, artifactId] = [newId(), newId(), newId()]
  const of = { orgId: org.id, appId: app.appId, buildId }
  const objectKey = `orgs/${org.id}/apps/${app.appId}/artifacts/${artifactId}`
  await fixture.deps.objects.put(objectKey, content, { contentType: 'application/zip' })
  await withOrg(fixture.deps.db, org.id, async (tx) => {
    await tx.insert(builds).values({ id: buildId, orgId: org.id, appId: app.appId, number, platform })
    await tx.insert(jobs).values({ id: jobId, ...of, status, finishedAt: status === 'succeeded' ? new Date() : null })
    await tx.insert(artifacts).values({
      id: artifactId,
      ...of,
      attempt: 1,
      type: platform === 'web' ? 'zip' : 'apk',
      status: 'ready',
      fileName: 'web.zip',
      fileMimeType: 'application/zip',
      fileSizeBytes: content.byteLength,
      sha256: sha256(content),
      objectKey,
    })
  })
  return buildId
}

const deploy = (appBuildId: string, appChannelName = 'production') =>
  app.call('POST', '/deployments', { appBuildId, appChannelName })

test('the output of a web build is deployed, once or again, and reaches devices', async () => {
  const buildId = await makeBuild({ number: 1001 })
  const answers = await Promise.all([deploy(buildId), deploy(buildId), deploy(buildId)])
  for (const answer of answers) expect(answer.status, await answer.text()).toBe(201)
  const answer = await (await app.latest(android('production'))).json<Body>()
  expect(answer).toMatchObject({ artifactType: 'zip', checksum: sha256(page) })
  const download = await fixture.request('GET', new URL(answer.url).pathname)
  expect(new Uint8Array(await download.arrayBuffer())).toEqual(page)
  await app.must('DELETE', `/bundles/${answer.bundleId}`)
  expect((await deploy(buildId)).status).toBe(201)
})

test('an unsigned web build does not reach a protected channel', async () => {
  await refusal(await deploy(await makeBuild({ number: 1002 }), 'guarded'), 422, 'channel-protected')
})

test('a build that runs, a native build and a damaged output are refused', async () => {
  const running = await makeBuild({ number: 1003, status: 'in_progress' })
  expect(await refusal(await deploy(running), 409, 'bundle-not-ready')).toContain('Wait')
  const native = await makeBuild({ number: 1004, platform: 'android' })
  expect(await refusal(await deploy(native), 409, 'bundle-not-ready')).toContain('"web"')
  const damaged = await makeBuild({ number: 1005, content: page.slice(0, -4) })
  await refusal(await deploy(damaged), 422, 'bundle-archive-invalid')
})
