import {
  dependencyCaches,
  jobs,
  newId,
  openDatabase,
  type JobCache,
  type OpenDatabase,
  withOrg,
} from '@capstan/migrations'
import type { CacheAnswer, CacheUpload, Claim } from '@capstan/migrations/messages'
import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { sweepCaches } from '../src/control/sweep-caches.js'
import {
  addCertificate,
  auditActions,
  claimed,
  createTestApp,
  jobOf,
  putBytes,
  queueBuild,
  sha256,
  sourceZip,
  storeArtifact,
  type TestApp,
  type TestBuild,
  type TestWorker,
  underLease,
} from './build-fixture.js'
import { createFixture, type Fixture } from './fixture.js'
import { keysBelow } from './stored-objects.js'

let fixture: Fixture
let control: OpenDatabase
let worker: TestWorker
let app: TestApp
let days = 0

beforeAll(async () => {
  fixture = await createFixture()
  worker = await fixture.createWorker()
  control = openDatabase({ url: fixture.databaseUrl('control'), poolSize: 2 })
})
afterAll(async () => {
  await control[Symbol.asyncDispose]()
  await fixture[Symbol.asyncDispose]()
})
beforeEach(async () => {
  app = await createTestApp(fixture)
  days = 0
})

const question = (change: Record<string, string> = {}) => ({
  packageManager: 'npm',
  lockfileSha256: 'a'.repeat(64),
  imageId: `sha256:${'b'.repeat(64)}`,
  ...change,
})
const bytes = new Uint8Array(Buffer.from('what npm downloaded'))

type Running = { build: TestBuild; claim: Claim }

async function start(of = app, body: Record<string, unknown> = {}): Promise<Running> {
  const build = await queueBuild(fixture, of, body)
  return { build, claim: await claimed(fixture, worker, build.id) }
}

async function find({ claim }: Running, change?: Record<string, string>): Promise<CacheAnswer> {
  const answer = await underLease(fixture, claim, 'caches/find', question(change))
  expect(answer.status).toBe(200)
  return answer.json<CacheAnswer>()
}

const declare = ({ claim }: Running, content = bytes, change: Record<string, string> = {}) =>
  underLease(fixture, claim, 'caches', { ...question(change), sizeBytes: content.length, sha256: sha256(content) })

async function leave(running: Running, content = bytes, change: Record<string, string> = {}): Promise<string> {
  const { cacheId, uploadUrl } = await (await declare(running, content, change)).json<CacheUpload>()
  expect((await putBytes(fixture, uploadUrl, content)).status).toBe(201)
  expect((await underLease(fixture, running.claim, `caches/${cacheId}/finalize`)).status).toBe(204)
  return cacheId
}

async function finish({ claim }: Running, status = 'succeeded'): Promise<void> {
  if (status === 'succeeded') await storeArtifact(fixture, claim, sourceZip())
  expect((await underLease(fixture, claim, 'finish', { status })).status).toBe(204)
}

const report = ({ claim }: Running, body: Record<string, unknown>) => underLease(fixture, claim, 'caches/report', body)

/** A build of the app that left a cache and succeeded. */
async function fill(of = app, body: Record<string, unknown> = {}): Promise<string> {
  const running = await start(of, body)
  expect(await find(running)).toMatchObject({ state: 'miss', maxBytes: 1024 ** 3 })
  const id = await leave(running)
  await finish(running)
  return id
}

const rows = () => withOrg(fixture.deps.db, app.org.id, (tx) => tx.select().from(dependencyCaches))
const keysStored = async () =>
  (await keysBelow(fixture, `orgs/${app.org.id}/`)).filter((key) => key.includes('/caches/'))

describe('a cache', () => {
  test('counts for other builds once its build has succeeded, and is shown on both', async () => {
    const [first, meanwhile] = [await start(), await start()]
    await find(first)
    await leave(first)
    expect(await find(meanwhile)).toMatchObject({ state: 'miss' })
    await report(first, { installMs: 9_000, saveMs: 500, sizeBytes: bytes.length })
    await finish(first)
    expect(await find(meanwhile)).toMatchObject({ state: 'hit', sha256: sha256(bytes), sizeBytes: bytes.length })
    const next = await start()
    const hit = await find(next)
    if (hit.state !== 'hit') throw new Error('There is no cache.')
    const got = await fixture.request('GET', new URL(hit.url).pathname)
    expect(Buffer.from(await got.arrayBuffer())).toEqual(Buffer.from(bytes))
    await report(next, { installMs: 2_000, restoreMs: 300 })
    expect(await jobOf(fixture, first.build)).toMatchObject({
      cache: { outcome: 'miss', installTimeInSeconds: 9, saveTimeInSeconds: 0.5, sizeInBytes: bytes.length },
    })
    expect(await jobOf(fixture, next.build)).toMatchObject({
      cache: { outcome: 'hit', packageManager: 'npm', installTimeInSeconds: 2, restoreTimeInSeconds: 0.3 },
    })
    expect(await auditActions(fixture, app.org.id)).toContain('cache.stored')
  })

  test.each([
    ['another lockfile', { lockfileSha256: 'c'.repeat(64) }],
    ['another package manager', { packageManager: 'pnpm' }],
    ['another image', { imageId: `sha256:${'d'.repeat(64)}` }],
  ])('is not for %s', async (_name, change) => {
    await fill()
    expect(await find(await start(), change as Record<string, string>)).toMatchObject({ state: 'miss' })
  })

  test('is never seen by another app or organization, whose builds ask the same', async () => {
    await fill()
    const sibling = await createTestApp(fixture, app.org)
    const stranger = await createTestApp(fixture)
    for (const other of [sibling, stranger]) expect(await find(await start(other))).toMatchObject({ state: 'miss' })
  })

  test.each(['failed', 'canceled'])('of a build that %s is gone with its object', async (status) => {
    const running = await start()
    await find(running)
    await leave(running)
    expect(await keysStored()).toHaveLength(1)
    await finish(running, status)
    expect([await rows(), await keysStored()]).toEqual([[], []])
    expect(await find(await start())).toMatchObject({ state: 'miss' })
  })

  test('of two builds of one key is that of the first that succeeds; the other one goes', async () => {
    const [one, other] = [await start(), await start()]
    await leave(one)
    await leave(other, new Uint8Array(Buffer.from('the same, later')))
    await Promise.all([finish(one), finish(other)])
    expect((await rows()).map(({ status }) => status)).toEqual(['ready'])
    expect(await keysStored()).toEqual([(await rows())[0]?.objectKey])
  })

  test('whose bytes are not the declared ones is refused and not kept', async () => {
    const running = await start()
    const { cacheId, uploadUrl } = await (await declare(running)).json<CacheUpload>()
    expect((await putBytes(fixture, uploadUrl, new Uint8Array(Buffer.from('something else!!!!!')))).status).toBe(422)
    const refused = await underLease(fixture, running.claim, `caches/${cacheId}/finalize`)
    expect([refused.status, (await refused.json<{ code: string }>()).code]).toEqual([422, 'cache-mismatch'])
    await finish(running)
    expect(await rows()).toEqual([])
  })

  test('that is not what was stored, as a build says, is given to nobody again', async () => {
    await fill()
    const running = await start()
    expect(await find(running)).toMatchObject({ state: 'hit' })
    await report(running, { refused: true, restoreMs: 100 })
    await report(running, { refused: true, restoreMs: 100 })
    expect([await rows(), await keysStored()]).toEqual([[], []])
    expect(await jobOf(fixture, running.build)).toMatchObject({ cache: { outcome: 'refused' } })
    const refusals = (await auditActions(fixture, app.org.id)).filter((action) => action === 'cache.refused')
    expect(refusals).toHaveLength(1)
  })

  test('whose object is not in the store gives up its place, once, and the build that met it may fill it again', async () => {
    await fill()
    const [lost] = await rows()
    await fixture.deps.objects.delete(lost!.objectKey)
    const [running, other] = [await start(), await start()]
    const answers = await Promise.all([find(running), find(other)])
    expect(answers).toEqual([expect.objectContaining({ state: 'miss' }), expect.objectContaining({ state: 'miss' })])
    expect(await rows()).toEqual([])
    expect(await jobOf(fixture, running.build)).toMatchObject({ cache: { outcome: 'miss' } })
    const evictions = (await auditActions(fixture, app.org.id)).filter((action) => action === 'cache.evicted')
    expect(evictions).toHaveLength(1)
    const kept = await leave(running)
    await finish(running)
    expect((await rows()).map(({ id }) => id)).toEqual([kept])
    expect(await find(await start())).toMatchObject({ state: 'hit' })
  })

  test('of a branch whose object is lost gives way to that of the default branch', async () => {
    await fixture.request('PUT', `/v1/apps/${app.id}/repository`, {
      token: app.org.tokens.admin,
      body: { url: 'https://code.example.com/acme/shop.git' },
    })
    await fill(app, { appBuildSourceId: null, gitRef: 'feature' })
    const [lost] = await rows()
    await fill(app, { appBuildSourceId: null })
    await fixture.deps.objects.delete(lost!.objectKey)
    const answer = await find(await start(app, { appBuildSourceId: null, gitRef: 'feature' }))
    expect(answer).toMatchObject({ state: 'hit' })
    expect((await rows()).map(({ branch }) => branch)).toEqual(['HEAD'])
  })

  test('may be left once by an attempt, within its size, and by no attempt that is over', async () => {
    const running = await start()
    await leave(running)
    expect((await declare(running)).status).toBe(201)
    expect((await declare(running, new Uint8Array(Buffer.from('another')))).status).toBe(403)
    const large = { ...question(), sizeBytes: 2 * 1024 ** 3, sha256: 'e'.repeat(64) }
    expect((await underLease(fixture, running.claim, 'caches', large)).status).toBe(413)
    await finish(running)
    for (const answer of [
      await declare(running),
      await underLease(fixture, running.claim, 'caches/find', question()),
    ]) {
      expect(answer.status).toBe(409)
    }
  })

  test('of another build cannot be finalized', async () => {
    const [one, other] = [await start(), await start()]
    const { cacheId } = await (await declare(one)).json<CacheUpload>()
    expect((await underLease(fixture, other.claim, `caches/${cacheId}/finalize`)).status).toBe(404)
  })
})

describe('trust', () => {
  test('a build of a foreign file reads what the app’s builds left, and leaves nothing', async () => {
    await fill()
    const announced = await fixture.request('POST', `/v1/apps/${app.id}/build-sources`, {
      token: app.token,
      body: { fileUrl: 'https://files.example.com/app.zip' },
    })
    const { id } = await announced.json<{ id: string }>()
    const foreign = await start(app, { appBuildSourceId: id })
    expect(foreign.claim.spec.cache).toBe('read')
    expect(await find(foreign)).toMatchObject({ state: 'hit' })
    expect(await find(foreign, { lockfileSha256: 'c'.repeat(64) })).toEqual({ state: 'miss', maxBytes: null })
    const refused = await declare(foreign, bytes, { lockfileSha256: 'c'.repeat(64) })
    expect([refused.status, (await refused.json<{ code: string }>()).code]).toEqual([403, 'cache-not-writable'])
    expect(await rows()).toHaveLength(1)
  })

  test('a signed build has no cache until its app says so, and then one that only signed builds write', async () => {
    await fill()
    const appCertificateId = await addCertificate(fixture, app, 'Release')
    const release = { platform: 'android', type: 'release', appCertificateId }
    const without = await start(app, release)
    expect(without.claim.spec.cache).toBeUndefined()
    expect(await find(without)).toMatchObject({ state: 'off' })
    expect((await declare(without)).status).toBe(403)

    const changed = await fixture.request('PATCH', `/v1/apps/${app.id}`, {
      token: app.org.tokens.admin,
      body: { releaseCacheEnabled: true },
    })
    expect(await changed.json()).toMatchObject({ releaseCacheEnabled: true })
    const running = await start(app, release)
    expect(running.claim.spec.cache).toBe('read-write')
    expect(await find(running)).toMatchObject({ state: 'miss' })
    await leave(running)
    await finish(running)
    expect(await find(await start(app, release))).toMatchObject({ state: 'hit' })
    expect(await find(await start(app, release), { packageManager: 'yarn' })).toMatchObject({
      state: 'off',
      reason: expect.stringContaining('compares it with the lockfile'),
    })
  })

  test('a branch reads its own and the default branch’s, and never another branch’s', async () => {
    await fixture.request('PUT', `/v1/apps/${app.id}/repository`, {
      token: app.org.tokens.admin,
      body: { url: 'https://code.example.com/acme/shop.git' },
    })
    const git = { appBuildSourceId: null }
    await fill(app, { ...git, gitRef: 'feature' })
    expect(await find(await start(app, { ...git, gitRef: 'feature' }))).toMatchObject({ state: 'hit' })
    expect(await find(await start(app, { ...git, gitRef: 'other' }))).toMatchObject({ state: 'miss' })
    expect(await find(await start(app, git))).toMatchObject({ state: 'miss' })
    expect(await find(await start())).toMatchObject({ state: 'miss' })
    await fill(app, git)
    expect(await find(await start(app, { ...git, gitRef: 'other' }))).toMatchObject({ state: 'hit' })
  })

  test('a build that was requested without a cache gets none', async () => {
    await fill()
    const running = await start(app, { useCache: false })
    expect(running.claim.spec.cache).toBeUndefined()
    expect(await find(running)).toMatchObject({ state: 'off' })
    expect(await jobOf(fixture, running.build)).toMatchObject({ cache: null })
  })
})

/** Builds of the past, as their jobs remember them. */
async function remember(
  runs: readonly Pick<JobCache, 'outcome' | 'restoreMs' | 'installMs' | 'saveMs'>[],
): Promise<void> {
  for (const run of runs) {
    const { build } = await start()
    const cache = { key: 'f'.repeat(64), tier: 'members', packageManager: 'npm', ...run } as const
    await withOrg(fixture.deps.db, app.org.id, (tx) => tx.update(jobs).set({ cache }).where(eq(jobs.id, build.jobId)))
  }
}

test('a cache that costs more than it saves is left out, says so, and is tried again later', async () => {
  await fill()
  const slow = { outcome: 'hit', restoreMs: 8_000, installMs: 6_000 } as const
  await remember([{ outcome: 'miss', installMs: 10_000, saveMs: 1_000 }, slow, slow, slow])
  const running = await start()
  expect(await find(running)).toEqual({
    state: 'off',
    reason: 'In the last builds the cache cost 13000 ms more than it saved; it is left out for a while.',
  })
  expect(await jobOf(fixture, running.build)).toMatchObject({ cache: { outcome: 'off' } })
  expect(await find(await start(), { packageManager: 'pnpm' })).toMatchObject({ state: 'miss' })
  await withOrg(fixture.deps.db, app.org.id, (tx) =>
    tx.update(jobs).set({ createdAt: new Date(Date.now() - 15 * 86_400_000) }),
  )
  expect(await find(await start())).toMatchObject({ state: 'hit' })
})

describe('eviction', () => {
  const sweep = (appBytes?: number) => {
    const now = () => new Date(Date.now() + days * 86_400_000)
    return sweepCaches({ ...fixture.deps, db: control.db, now }, appBytes)
  }

  test('takes what nobody used for two weeks, row and object', async () => {
    await fill()
    days = 13
    await sweep()
    expect(await rows()).toHaveLength(1)
    days = 15
    await sweep()
    expect([await rows(), await keysStored()]).toEqual([[], []])
    expect(await auditActions(fixture, app.org.id)).toContain('cache.evicted')
  })

  test('takes the longest unused of an app that has more than its space', async () => {
    const old = await fill()
    await withOrg(fixture.deps.db, app.org.id, (tx) =>
      tx
        .update(dependencyCaches)
        .set({ lastUsedAt: new Date(Date.now() - 86_400_000) })
        .where(eq(dependencyCaches.id, old)),
    )
    const running = await start()
    const kept = await leave(running, bytes, { lockfileSha256: 'c'.repeat(64) })
    await finish(running)
    await sweep(bytes.length * 2)
    expect(await rows()).toHaveLength(2)
    await sweep(bytes.length * 2 - 1)
    expect((await rows()).map(({ id }) => id)).toEqual([kept])
    expect(await keysStored()).toHaveLength(1)
  })

  test('takes what a build left that never ended, after a day', async () => {
    await leave(await start())
    await sweep()
    expect(await rows()).toHaveLength(1)
    days = 2
    await sweep()
    expect([await rows(), await keysStored()]).toEqual([[], []])
  })

  test('an app that is deleted takes its caches along', async () => {
    await fill()
    const gone = await fixture.request('DELETE', `/v1/apps/${app.id}`, { token: app.org.tokens.admin })
    expect(gone.status).toBe(204)
    expect([await rows(), await keysStored()]).toEqual([[], []])
  })

  test('is done by the control process alone, each in its organization', async () => {
    await fill()
    expect(await withOrg(control.db, newId(), (tx) => tx.delete(dependencyCaches).returning())).toEqual([])
    expect(await rows()).toHaveLength(1)
  })
})
