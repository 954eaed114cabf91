import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { createFixture, type Fixture } from './fixture.js'
import { createLiveUpdateApp, type LiveUpdateApp, refusal, sha256, zipOf } from './live-update-app.js'
import { type ObjectStore, ObjectStoreError } from '../src/objects/object-store.js'

let fixture: Fixture
let app: LiveUpdateApp
let store: ObjectStore
const MANIFEST = 'capawesome-live-update-manifest.json'
const zip = zipOf({ 'index.html': 'x' })
const bytes = (text: string) => new TextEncoder().encode(text)

beforeAll(async () => {
  fixture = await createFixture()
  app = await createLiveUpdateApp(fixture, await fixture.createOrganization())
  store = fixture.deps.objects
})
afterEach(() => {
  fixture.deps.objects = store
})
afterAll(() => fixture[Symbol.asyncDispose]())

/** The object store with one call that goes another way. */
const storeWith = (changes: Partial<ObjectStore>): ObjectStore =>
  new Proxy(store, { get: (target, name) => Reflect.get(name in changes ? changes : target, name) as unknown })

test('a store that does not take a file is no 5xx, and the upload works once it does', async () => {
  const bundle = await app.must('POST', '/bundles', {})
  fixture.deps.objects = storeWith({
    put: () => Promise.reject(new ObjectStoreError('object-store-unavailable', 'down')),
  })
  expect(await refusal(await app.sendFile(bundle.id, { content: zip }), 409, 'upload-not-stored')).toContain('again')
  fixture.deps.objects = store
  expect((await app.sendFile(bundle.id, { content: zip })).status).toBe(201)
  expect((await app.call('PATCH', `/bundles/${bundle.id}`, { artifactStatus: 'ready' })).status).toBe(200)
})

test('a file that arrives while the bundle is being checked is not slipped in', async () => {
  const text = '<h1>x</h1>'
  const manifest = JSON.stringify([{ checksum: sha256(text), href: 'index.html', sizeInBytes: text.length }])
  const bundle = await app.must('POST', '/bundles', { artifactType: 'manifest' })
  await app.sendFile(bundle.id, { content: bytes(text), href: 'index.html', name: 'index.html' })
  await app.sendFile(bundle.id, { content: bytes(manifest), href: MANIFEST, name: MANIFEST })
  const ready = () => app.call('PATCH', `/bundles/${bundle.id}`, { artifactStatus: 'ready' })
  fixture.deps.objects = storeWith({
    get: async (...args) => {
      fixture.deps.objects = store
      expect((await app.sendFile(bundle.id, { content: bytes('late'), href: 'late.js', name: 'late.js' })).status).toBe(
        201,
      )
      return store.get(...args)
    },
  })
  expect(await refusal(await ready(), 422, 'bundle-incomplete')).toContain('Send this request again')
  expect((await ready()).status).toBe(200)
  const late = await app.sendFile(bundle.id, { content: bytes('later'), href: 'later.js', name: 'later.js' })
  await refusal(late, 409, 'bundle-immutable')
})

test('bytes that changed in the store are not published', async () => {
  const bundle = await app.must('POST', '/bundles', {})
  await app.sendFile(bundle.id, { content: zip })
  const other = zipOf({ 'index.html': 'y' })
  const key = `orgs/swapped/${bundle.id}`
  await store.put(key, other, { contentType: 'application/zip' })
  fixture.deps.objects = storeWith({ get: (_key, options) => store.get(key, options) })
  const refused = await app.call('PATCH', `/bundles/${bundle.id}`, { artifactStatus: 'ready' })
  await refusal(refused, 500, 'internal-error')
  fixture.deps.objects = store
  expect((await app.call('PATCH', `/bundles/${bundle.id}`, { artifactStatus: 'ready' })).status).toBe(200)
})

test.each([
  ['zip', 200 * 1024 * 1024],
  ['manifest', 50 * 1024 * 1024],
])('a %s file may have %i bytes and not one more', async (artifactType, limit) => {
  const bundle = await app.must('POST', '/bundles', { artifactType })
  const place = artifactType === 'manifest' ? { href: 'big.bin' } : {}
  const declare = (sizeInBytes: number) => app.sendFile(bundle.id, { ...place, checksum: sha256('x'), sizeInBytes })
  expect(await refusal(await declare(limit + 1), 422, 'bundle-file-invalid')).toContain(String(limit))
  expect((await declare(limit)).status).toBe(201)
})
