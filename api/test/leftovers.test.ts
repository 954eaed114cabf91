import {
  artifacts,
  bundleFiles,
  discardedObjects,
  newId,
  openDatabase,
  outbox,
  type OpenDatabase,
  uploads,
  withOrg,
} from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { ControlDeps } from '../src/control/control-deps.js'
import { sweepLeftovers } from '../src/control/sweep-leftovers.js'
import {
  announceSource,
  auditActions,
  claimed,
  createTestApp,
  openUpload,
  queueBuild,
  sendPart,
  sourceZip,
  storeArtifact,
  type TestApp,
  type TestWorker,
  underLease,
} from './build-fixture.js'
import { createFixture, type Fixture } from './fixture.js'
import { keysBelow } from './stored-objects.js'
import { createLiveUpdateApp, zipOf } from './live-update-app.js'
import { type ObjectStore, ObjectStoreError } from '../src/objects/object-store.js'

let fixture: Fixture
let database: OpenDatabase
let deps: ControlDeps
let worker: TestWorker
let app: TestApp
let days = 0

beforeAll(async () => {
  fixture = await createFixture()
  worker = await fixture.createWorker()
  app = await createTestApp(fixture)
  database = openDatabase({ url: fixture.databaseUrl('control'), poolSize: 3 })
  const now = () => new Date(Date.now() + days * 24 * 60 * 60_000)
  deps = { ...fixture.deps, db: database.db, now } as unknown as ControlDeps
})
afterAll(async () => {
  await database[Symbol.asyncDispose]()
  await fixture[Symbol.asyncDispose]()
})

async function built(): Promise<{ artifactId: string; objectKey: string; buildId: string }> {
  const build = await queueBuild(fixture, app)
  const claim = await claimed(fixture, worker, build.id)
  const artifactId = await storeArtifact(fixture, claim, sourceZip())
  await underLease(fixture, claim, 'finish', { status: 'succeeded' })
  const [row] = await withOrg(fixture.deps.db, app.org.id, (tx) =>
    tx.select().from(artifacts).where(eq(artifacts.id, artifactId)),
  )
  return { artifactId, objectKey: row!.objectKey, buildId: build.id }
}
const isStored = (key: string) =>
  fixture.deps.objects.get(key).then(
    ({ body }) => Boolean(body.destroy()),
    () => false,
  )

test('files of a build go when their organization keeps them no longer; those that devices fetch stay', async () => {
  const [old, served] = [await built(), await built()]
  const changed = await fixture.request('PATCH', `/v1/organizations/${app.org.id}`, {
    token: app.org.tokens.owner,
    body: { artifactRetentionDays: 30 },
  })
  expect(await changed.json()).toMatchObject({ artifactRetentionDays: 30 })
  const channel = { name: 'production' }
  await fixture.request('POST', `/v1/apps/${app.id}/channels`, { token: app.token, body: channel })
  const deploy = { appBuildId: served.buildId, appChannelName: 'production' }
  const deployed = await fixture.request('POST', `/v1/apps/${app.id}/deployments`, { token: app.token, body: deploy })
  // The sample has an index.html, so it is a live update as it is.
  expect(deployed.status).toBe(201)
  expect(await withOrg(fixture.deps.db, app.org.id, (tx) => tx.$count(bundleFiles))).toBe(1)

  days = 29
  expect((await sweepLeftovers(deps)).artifacts).toBe(0)
  days = 31
  expect((await sweepLeftovers(deps)).artifacts).toBe(1)
  expect([await isStored(old.objectKey), await isStored(served.objectKey)]).toEqual([false, true])
  const shown = await fixture.request('GET', `/v1/apps/${app.id}/builds/${old.buildId}/artifacts`, { token: app.token })
  expect(await shown.json()).toEqual([])
  expect(await auditActions(fixture, app.org.id)).toContain('artifact.expired')
  expect((await sweepLeftovers(deps)).artifacts).toBe(0)
})

test('an upload that nobody finished goes with its parts; one of today stays', async () => {
  const begin = async () => {
    const sourceId = await announceSource(fixture, app, sourceZip().length)
    const uploadId = await openUpload(fixture, app, sourceId)
    await sendPart(fixture, app, { sourceId, uploadId }, { number: 1, bytes: sourceZip() })
    return uploadId
  }
  days = 0
  const [first, second] = [await begin(), await begin()]
  await withOrg(fixture.deps.db, app.org.id, (tx) =>
    tx
      .update(uploads)
      .set({ createdAt: new Date(Date.now() - 3 * 24 * 60 * 60_000) })
      .where(eq(uploads.id, first)),
  )
  const partsBefore = await keysBelow(fixture, `orgs/${app.org.id}/`)
  expect((await sweepLeftovers(deps)).uploads).toBe(1)
  const partsAfter = await keysBelow(fixture, `orgs/${app.org.id}/`)
  expect(partsBefore.length - partsAfter.length).toBe(1)
  const left = await withOrg(fixture.deps.db, app.org.id, (tx) => tx.select({ id: uploads.id }).from(uploads))
  expect(left.map(({ id }) => id)).toContain(second)
  expect(left.map(({ id }) => id)).not.toContain(first)
})

test('deliveries of webhooks go after thirty days', async () => {
  await using owner = openDatabase({ url: fixture.ownerUrl, poolSize: 1 })
  const [hook] = await owner.sql`
    insert into app_webhooks (id, org_id, app_id, name, host, sealed_url, sealed_secret, events, format, created_by)
    values (gen_random_uuid(), ${app.org.id}, ${app.id}, 'x', 'x', '', '', '{job_finished}', 'raw', gen_random_uuid())
    returning id`
  for (const age of ['29 days', '31 days']) {
    await owner.sql`insert into app_webhook_deliveries (id, org_id, webhook_id, event, facts, created_at)
      values (gen_random_uuid(), ${app.org.id}, ${hook?.id as string}, 'job_finished', '{}', now() - ${age}::interval)`
  }
  expect((await sweepLeftovers(deps)).deliveries).toBe(1)
  expect((await sweepLeftovers(deps)).deliveries).toBe(0)
})

test('rows of the outbox go a week after they were sent, and not before they were', async () => {
  await using owner = openDatabase({ url: fixture.ownerUrl, poolSize: 1 })
  await owner.sql`update outbox set sent_at = null`
  await owner.sql`update outbox set sent_at = now() where id = (select min(id) from outbox)`
  days = 6
  expect((await sweepLeftovers(deps)).outbox).toBe(0)
  days = 8
  expect((await sweepLeftovers(deps)).outbox).toBe(1)
  expect(await withOrg(fixture.deps.db, app.org.id, (tx) => tx.$count(outbox))).toBeGreaterThan(0)
})

/** The store as it is while it removes nothing. */
const withoutRemoval = (store: ObjectStore): ObjectStore =>
  new Proxy(store, {
    get: (target, name) =>
      name === 'delete' || name === 'deleteBelow'
        ? () => Promise.reject(new ObjectStoreError('object-store-unavailable', 'down'))
        : (Reflect.get(target, name) as unknown),
  })

test('bytes that the store kept when their rows went are removed later, and those that come late', async () => {
  days = 0
  const live = await createLiveUpdateApp(fixture, app.org)
  const { bundle } = await live.publishZip(zipOf({ 'index.html': 'x' }))
  const folder = `orgs/${app.org.id}/apps/${live.appId}/bundles/${bundle.id}/`
  const store = fixture.deps.objects
  fixture.deps.objects = withoutRemoval(store)
  expect((await live.call('DELETE', `/bundles/${bundle.id}`)).status).toBe(204)
  fixture.deps.objects = store
  const kept = await keysBelow(fixture, folder)
  expect(kept.length).toBeGreaterThan(0)
  await sweepLeftovers({ ...deps, objects: withoutRemoval(store) })
  expect(await keysBelow(fixture, folder)).toEqual(kept)
  await sweepLeftovers(deps)
  expect(await keysBelow(fixture, folder)).toEqual([])
  await store.put(`${folder}late`, new Uint8Array(8), { contentType: 'application/zip' })
  days = 1
  expect((await sweepLeftovers(deps)).discarded).toBeGreaterThan(0)
  expect(await keysBelow(fixture, folder)).toEqual([])
  expect((await sweepLeftovers(deps)).discarded).toBe(0)
})

test("a note removes nothing of another organization's", async () => {
  const other = await createTestApp(fixture)
  const key = `orgs/${other.org.id}/apps/${other.id}/kept`
  await fixture.deps.objects.put(key, new Uint8Array(8), { contentType: 'application/zip' })
  await withOrg(fixture.deps.db, app.org.id, (tx) =>
    tx.insert(discardedObjects).values({ id: newId(), orgId: app.org.id, key: `orgs/${other.org.id}/` }),
  )
  days = 1
  await sweepLeftovers(deps)
  expect(await keysBelow(fixture, `orgs/${other.org.id}/`)).toEqual([key])
})
