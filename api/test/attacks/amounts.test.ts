import { createServer } from 'node:http'
import { devices, withOrg } from '@capstan/migrations'
import { count, eq } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  announceSource,
  openUpload,
  sendPart,
  type TestApp,
  claimed,
  line,
  queueBuild,
  underLease,
} from '../build-fixture.js'
import { createFixture, type Fixture, type TestOrganization } from '../fixture.js'
import { keysBelow } from '../stored-objects.js'
import { android, createKeyPair, createLiveUpdateApp, type LiveUpdateApp, refusal, zipOf } from '../live-update-app.js'

let fixture: Fixture
let org: TestOrganization
let app: LiveUpdateApp
let testApp: TestApp
let now = Date.now()

beforeAll(async () => {
  fixture = await createFixture({ overrides: { now: () => new Date(now) } })
  org = await fixture.createOrganization()
  app = await createLiveUpdateApp(fixture, org)
  testApp = { id: app.appId, org, token: org.tokens.member }
})
afterAll(() => fixture[Symbol.asyncDispose]())

const objectsUnder = (prefix: string) => keysBelow(fixture, prefix)

describe('devices, which nobody signs in', () => {
  test('are remembered up to an amount an app and time; all of them are answered', async () => {
    await app.must('POST', '/channels', { name: 'production' })
    await app.publishZip(zipOf({ 'index.html': 'a' }), { bundle: { channelName: 'production' } })
    const statuses = new Set<number>()
    for (let batch = 0; batch < 22; batch += 1) {
      const asked = Array.from({ length: 50 }, (_, index) =>
        app.latest(android('production', `device-${batch}-${index}`)),
      )
      for (const { status } of await Promise.all(asked)) statuses.add(status)
    }
    expect(statuses).toEqual(new Set([200]))
    const stored = await countDevices()
    expect(stored).toBeGreaterThanOrEqual(500)
    expect(stored).toBeLessThanOrEqual(1_000)
  })

  test('that are known stay known, and room comes back', async () => {
    now += 3_600_000
    await app.latest(android('production', 'device-0-0', '&customId2=x'))
    const seen = await app.must<{ lastSeenAt: string }>('GET', '/devices/device-0-0')
    expect(Date.parse(seen.lastSeenAt)).toBe(now)
    const before = await countDevices()
    await app.latest(android('production', 'after-an-hour'))
    expect(await countDevices()).toBe(before + 1)
  })

  async function countDevices(): Promise<number> {
    await fixture.deps.checkIns.flush()
    const [row] = await withOrg(fixture.deps.db, org.id, (tx) =>
      tx.select({ count: count() }).from(devices).where(eq(devices.appId, app.appId)),
    )
    return row?.count ?? 0
  }
})

describe('parts of an upload', () => {
  test('together are no larger than the file may be', async () => {
    const bundle = await app.must('POST', '/bundles', { artifactType: 'zip' })
    const sent = await app.sendFile(bundle.id, { sizeInBytes: 100, checksum: 'a'.repeat(64) })
    const { id } = await sent.json<{ id: string }>()
    const upload = `/bundles/${bundle.id}/files/${id}/upload`
    const { uploadId } = await app.must('POST', `${upload}?action=mpu-create`, {})
    const put = (partNumber: number, bytes: number) => {
      const form = new FormData()
      form.append('blob', new File([new Uint8Array(bytes).fill(partNumber)], 'x'))
      form.append('partNumber', String(partNumber))
      const path = `${app.path}${upload}?action=mpu-uploadpart&uploadId=${uploadId}`
      return fixture.request('PUT', path, { token: app.token, body: form })
    }
    expect((await put(1, 60)).status).toBe(200)
    expect((await put(2, 40)).status).toBe(200)
    await refusal(await put(3, 1), 413, 'request-too-large')
    await refusal(await put(2, 41), 413, 'request-too-large')
    expect((await put(1, 50)).status).toBe(200)
    expect(await objectsUnder(`orgs/${org.id}/apps/${app.appId}/bundles/${bundle.id}/`)).toHaveLength(2)
  })

  test('that are replaced leave nothing behind', async () => {
    const sourceId = await announceSource(fixture, testApp, 10)
    const uploadId = await openUpload(fixture, testApp, sourceId)
    for (const content of ['one', 'two', 'one', 'three']) {
      const bytes = new Uint8Array(Buffer.from(content))
      expect((await sendPart(fixture, testApp, { sourceId, uploadId }, { number: 1, bytes })).status).toBe(200)
    }
    expect(await objectsUnder(`orgs/${org.id}/apps/${app.appId}/sources/${sourceId}/`)).toHaveLength(1)
  })
})

describe('what every device is sent', () => {
  test('has few custom properties, however they are set', async () => {
    const { bundle } = await app.publishZip(zipOf({ 'index.html': 'b' }))
    const many = Object.fromEntries(Array.from({ length: 11 }, (_, index) => [`key-${index}`, 'x']))
    const path = `/builds/${bundle.appBuildId}`
    await refusal(await app.call('PATCH', path, { customProperties: many }), 422, 'request-invalid')
    delete many['key-0']
    expect(await app.must('PATCH', path, { customProperties: many })).toMatchObject({ customProperties: many })
  })

  test('holds of a release statement only what belongs to it', async () => {
    const bundle = await app.must('POST', '/bundles', { artifactType: 'zip' })
    const deep = `{"artifactStatus":"ready","release":{"payload":"YQ==","payloadType":"x","signatures":${'['.repeat(100_000)}${']'.repeat(100_000)}}}`
    const answer = await fixture.request('PATCH', `${app.path}/bundles/${bundle.id}`, {
      token: app.token,
      body: deep,
      headers: { 'content-type': 'application/json' },
    })
    await refusal(answer, 422, 'request-invalid')
  })
})

test('a bundle at a foreign address is not taken for signed by a protected channel', async () => {
  await app.must('POST', '/channels', { name: 'guarded', protected: true })
  const body = {
    artifactType: 'zip',
    channelName: 'guarded',
    url: 'https://elsewhere.example/bundle.zip',
    checksum: 'a'.repeat(64),
    signature: createKeyPair().sign('anything at all'),
  }
  await refusal(await app.call('POST', '/bundles', body), 422, 'channel-protected')
  await app.must('POST', '/bundles', { ...body, channelName: 'production' })
})

test('a list of builds never carries the logs of all of them', async () => {
  const build = await queueBuild(fixture, testApp)
  const taken = await claimed(fixture, await fixture.createWorker(), build.id)
  await underLease(fixture, taken, 'logs', { batch: 1, lines: [line('a line of the log')] })
  const relations = '?relations=job,job.jobLogs'
  const list = await fixture.request('GET', `${app.path}/builds${relations}`, { token: app.token })
  expect(list.status).toBe(200)
  expect(await list.text()).not.toContain('a line of the log')
  const one = await fixture.request('GET', `${app.path}/builds/${build.id}${relations}`, { token: app.token })
  expect(await one.text()).toContain('a line of the log')
})

test('reaching out is never done for a caller: a foreign url is stored, not fetched', async () => {
  let asked = 0
  const server = createServer((_, response) => {
    asked += 1
    response.end('x')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  const body = { artifactType: 'zip', channelName: 'production', url: `http://127.0.0.1:${port}/x.zip` }
  await app.must('POST', '/bundles', body)
  await app.latest(android('production'))
  expect(asked).toBe(0)
  server.close()
})
