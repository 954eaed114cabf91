import { openDatabase } from '@capstan/migrations'
import type { ArtifactUpload, Claim } from '@capstan/migrations/messages'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  auditActions,
  claim,
  claimed,
  createTestApp,
  declarationOf,
  jobOf,
  putBytes,
  queueBuild,
  storeArtifact,
  type TestApp,
  type TestBuild,
  type TestWorker,
  underLease,
} from './build-fixture.js'
import { type Answer, createFixture, type Fixture } from './fixture.js'

let fixture: Fixture
let app: TestApp
let worker: TestWorker

beforeAll(async () => {
  fixture = await createFixture()
  app = await createTestApp(fixture)
  worker = await fixture.createWorker()
})
afterAll(() => fixture[Symbol.asyncDispose]())

const bytes = new Uint8Array(Buffer.from('output'))
const codeOf = async (answer: Answer) => (await answer.json<{ code: string }>()).code
async function start(body: Record<string, unknown> = {}): Promise<{ build: TestBuild; taken: Claim }> {
  const build = await queueBuild(fixture, app, body)
  return { build, taken: await claimed(fixture, worker, build.id) }
}
const logOf = async (build: TestBuild) =>
  ((await jobOf(fixture, build, 'jobLogs')).jobLogs as { number: number; payload: string }[]).map((entry) => [
    entry.number,
    entry.payload,
  ])

describe('an artefact', () => {
  test('that is declared again is the same, and finalizing twice is harmless', async () => {
    const { taken } = await start()
    const [one, two] = [
      await (await underLease(fixture, taken, 'artifacts', declarationOf(bytes))).json<ArtifactUpload>(),
      await (await underLease(fixture, taken, 'artifacts', declarationOf(bytes))).json<ArtifactUpload>(),
    ]
    expect(one.artifactId).toBe(two.artifactId)
    expect((await putBytes(fixture, two.uploadUrl, bytes)).status).toBe(201)
    expect((await putBytes(fixture, two.uploadUrl, bytes)).status).toBe(409)
    for (let time = 0; time < 2; time += 1) {
      expect((await underLease(fixture, taken, `artifacts/${one.artifactId}/finalize`)).status).toBe(204)
    }
  })

  test('whose bytes never came is refused, and can still come', async () => {
    const { taken } = await start()
    const { artifactId, uploadUrl } = await (
      await underLease(fixture, taken, 'artifacts', declarationOf(bytes))
    ).json<ArtifactUpload>()
    const refused = await underLease(fixture, taken, `artifacts/${artifactId}/finalize`)
    expect(await codeOf(refused)).toBe('artifact-not-ready')
    await putBytes(fixture, uploadUrl, bytes)
    expect((await underLease(fixture, taken, `artifacts/${artifactId}/finalize`)).status).toBe(204)
  })

  test('that is not what was declared is refused by the signed link', async () => {
    const { taken } = await start()
    const { uploadUrl } = await (
      await underLease(fixture, taken, 'artifacts', declarationOf(bytes))
    ).json<ArtifactUpload>()
    const other = new Uint8Array(Buffer.from('0utput'))
    expect((await putBytes(fixture, uploadUrl, other)).status).toBe(422)
    expect((await putBytes(fixture, uploadUrl, new Uint8Array(20))).status).toBeGreaterThanOrEqual(400)
    expect((await putBytes(fixture, uploadUrl, bytes)).status).toBe(201)
  })

  test('that reached the store in another form is found out by hashing it, and removed', async () => {
    const { build, taken } = await start()
    const { artifactId } = await (
      await underLease(fixture, taken, 'artifacts', declarationOf(bytes))
    ).json<ArtifactUpload>()
    const key = `orgs/${app.org.id}/apps/${app.id}/builds/${build.id}/1/${artifactId}`
    await fixture.deps.objects.put(key, Buffer.from('0utput'), { contentType: 'application/zip' })
    const refused = await underLease(fixture, taken, `artifacts/${artifactId}/finalize`)
    expect(refused.status).toBe(422)
    expect(await codeOf(refused)).toBe('artifact-mismatch')
    expect(await fixture.deps.objects.head(key)).toBeNull()
    await using owner = openDatabase({ url: fixture.ownerUrl, poolSize: 1 })
    // The link still works: what it stores from now on is swept.
    expect(await owner.sql`select key from discarded_objects where key = ${key}`).toHaveLength(1)
    const stored = await storeArtifact(fixture, taken, bytes)
    expect(await owner.sql`select key from discarded_objects where key like ${`%${stored}`}`).toEqual([])
  })

  test('of another build cannot be finalized', async () => {
    const one = await start()
    const two = await start()
    const { artifactId } = await (
      await underLease(fixture, one.taken, 'artifacts', declarationOf(bytes))
    ).json<ArtifactUpload>()
    expect((await underLease(fixture, two.taken, `artifacts/${artifactId}/finalize`)).status).toBe(404)
  })
})

describe('finishing', () => {
  const listed = async (build: TestBuild) =>
    (await fixture.request('GET', `/v1/apps/${app.id}/builds/${build.id}/artifacts`, { token: app.token })).json<
      { id: string }[]
    >()

  test('with success needs an artefact', async () => {
    const { build, taken } = await start()
    const refused = await underLease(fixture, taken, 'finish', { status: 'succeeded' })
    expect(await codeOf(refused)).toBe('artifact-not-ready')
    expect(await jobOf(fixture, build)).toMatchObject({ status: 'in_progress' })
    await storeArtifact(fixture, taken, bytes)
    expect((await underLease(fixture, taken, 'finish', { status: 'succeeded' })).status).toBe(204)
    expect(await jobOf(fixture, build)).toMatchObject({ status: 'succeeded', statusCode: null })
  })

  test('keeps the artefacts of the attempt that succeeded, and no others', async () => {
    const { build, taken } = await start()
    const lost = await storeArtifact(fixture, taken, bytes, { fileName: 'lost.zip' })
    await underLease(fixture, taken, 'finish', { status: 'failed', retryable: true })
    const next = await claimed(fixture, worker, build.id)
    const kept = await storeArtifact(fixture, next, bytes, { fileName: 'kept.zip' })
    await underLease(fixture, next, 'artifacts', declarationOf(bytes, 'never-came.zip'))
    await underLease(fixture, next, 'finish', { status: 'succeeded' })
    expect((await listed(build)).map((artifact) => artifact.id)).toEqual([kept])
    const folder = `orgs/${app.org.id}/apps/${app.id}/builds/${build.id}`
    expect(await fixture.deps.objects.head(`${folder}/1/${lost}`)).toBeNull()
    expect(await fixture.deps.objects.head(`${folder}/2/${kept}`)).not.toBeNull()
  })

  test('with failure keeps the reason, discards what was stored, and says so in the log', async () => {
    const { build, taken } = await start()
    await storeArtifact(fixture, taken, bytes)
    const report = { status: 'failed', code: 'gradle-failed', message: 'Gradle failed: see above.' }
    await underLease(fixture, taken, 'finish', report)
    const job = await jobOf(fixture, build)
    expect(job).toMatchObject({ status: 'failed', statusCode: 'gradle-failed', statusMessage: report.message })
    expect(await listed(build)).toEqual([])
    expect((await logOf(build)).at(-1)?.[1]).toBe(report.message)
    expect(await auditActions(fixture, app.org.id)).toContain('build.failed')
  })

  test('is heard once', async () => {
    const { taken } = await start()
    await underLease(fixture, taken, 'finish', { status: 'failed', code: 'x' })
    const again = await underLease(fixture, taken, 'finish', { status: 'succeeded' })
    expect(await codeOf(again)).toBe('lease-lost')
  })

  test('retryable starts a second attempt and no third', async () => {
    const { build, taken } = await start()
    const retry = { status: 'failed', code: 'worker-error', message: 'Broken.', retryable: true }
    await underLease(fixture, taken, 'finish', retry)
    expect(await jobOf(fixture, build)).toMatchObject({
      status: 'queued',
      finishedAt: null,
      statusCode: 'worker-error',
    })
    const next = await claimed(fixture, worker, build.id)
    expect(await jobOf(fixture, build)).toMatchObject({ statusCode: null, statusMessage: null })
    await underLease(fixture, next, 'finish', retry)
    expect(await jobOf(fixture, build)).toMatchObject({ status: 'failed', attempt: 2, statusCode: 'worker-error' })
    expect((await claim(fixture, worker, build.id)).status).toBe(409)
  })

  test('retryable after a cancel request cancels', async () => {
    const { build, taken } = await start()
    await fixture.request('PATCH', `/v1/jobs/${build.jobId}`, { token: app.token, body: { status: 'canceled' } })
    await underLease(fixture, taken, 'finish', { status: 'failed', retryable: true })
    expect(await jobOf(fixture, build)).toMatchObject({ status: 'canceled' })
  })
})
