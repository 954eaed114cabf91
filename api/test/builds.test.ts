import { credentials, outbox, withOrg } from '@capstan/migrations'
import type { ArtifactUpload } from '@capstan/migrations/messages'
import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  addCertificate,
  announceSource,
  auditActions,
  claim,
  claimed,
  createTestApp,
  jobOf,
  queueBuild,
  sha256,
  storeArtifact,
  type TestApp,
  type TestBuild,
  type TestWorker,
  underLease,
  uploadSource,
} from './build-fixture.js'
import { createFixture, type Fixture } from './fixture.js'

let fixture: Fixture
let app: TestApp
let sourceId: string
let worker: TestWorker

beforeAll(async () => {
  fixture = await createFixture()
  app = await createTestApp(fixture)
  sourceId = await uploadSource(fixture, app)
  worker = await fixture.createWorker()
})
afterAll(() => fixture[Symbol.asyncDispose]())

const request = (body: Record<string, unknown>, token = app.token) =>
  fixture.request('POST', `/v1/apps/${app.id}/builds`, { token, body })
const get = async (path: string, token = app.token) => fixture.request('GET', `/v1/apps/${app.id}${path}`, { token })

describe('requesting a build', () => {
  test('queues it with a job, a message and an audit event', async () => {
    const own = await createTestApp(fixture)
    const build = await queueBuild(fixture, own, { platform: 'android', type: 'debug' })
    expect(build).toMatchObject({ numberAsString: '1', platform: 'android', type: 'debug', appId: own.id })
    expect(await jobOf(fixture, build)).toMatchObject({ id: build.jobId, status: 'queued', appBuildId: build.id })
    const messages = await withOrg(fixture.deps.db, own.org.id, (tx) => tx.select().from(outbox))
    expect(messages).toMatchObject([
      { topic: 'build.queued', payload: { v: 1, orgId: own.org.id, buildId: build.id }, sentAt: null },
    ])
    expect(await auditActions(fixture, own.org.id)).toContain('build.created')
  })

  test('numbers builds of an app without gaps, also when they come at once', async () => {
    const own = await createTestApp(fixture)
    const source = await uploadSource(fixture, own)
    const answers = await Promise.all(
      Array.from({ length: 5 }, () =>
        fixture.request('POST', `/v1/apps/${own.id}/builds`, {
          token: own.token,
          body: { platform: 'web', appBuildSourceId: source },
        }),
      ),
    )
    const numbers = await Promise.all(answers.map(async (answer) => (await answer.json<TestBuild>()).numberAsString))
    expect(numbers.toSorted((a, b) => Number(a) - Number(b))).toEqual(['1', '2', '3', '4', '5'])
  })

  test('takes a certificate by name whatever its case, and pins its version', async () => {
    const certificate = await addCertificate(fixture, app, 'Play Upload')
    const asked = {
      platform: 'android',
      type: 'release',
      appBuildSourceId: sourceId,
      appCertificateName: 'play upload',
    }
    const answer = await request(asked)
    expect(answer.status).toBe(201)
    const build = await answer.json<TestBuild>()
    expect(build).toMatchObject({ appCertificateId: certificate, type: 'release' })
    const { spec } = await claimed(fixture, worker, build.id)
    expect(spec.signing).toEqual({ credentialId: certificate, credentialVersion: 3, name: 'Play Upload' })
  })

  test('defaults to a debug build, which needs no certificate', async () => {
    const answer = await request({ platform: 'android', appBuildSourceId: sourceId })
    expect(await answer.json()).toMatchObject({ type: 'debug', appCertificateId: null })
  })

  test.each([
    ['without a source', { platform: 'web' }, 422, 'build-source-missing', '--path'],
    ['from git without a repository', { platform: 'web', gitRef: 'main' }, 422, 'repository-missing', 'apps:link'],
    ['from a reference that is none', { platform: 'web', gitRef: '--upload-pack=x' }, 422, 'git-ref-invalid', 'branch'],
    ['of an unknown type for ios', { platform: 'ios', type: 'debug' }, 422, 'build-type-invalid', '"simulator"'],
    ['for ios', { platform: 'ios', type: 'simulator' }, 422, 'build-platform-unavailable', 'macOS'],
    ['of an unknown type', { platform: 'android', type: 'fast' }, 422, 'build-type-invalid', '"fast"'],
    ['for the web with a type', { platform: 'web', type: 'release' }, 422, 'build-type-invalid', 'no type'],
    ['for an unknown platform', { platform: 'tv' }, 422, 'request-invalid', 'platform'],
    [
      'in an unknown environment',
      { platform: 'web', appEnvironmentName: 'Prod' },
      400,
      'environment-unknown',
      '"Prod"',
    ],
    [
      'with an unknown configuration',
      { platform: 'web', appConfigurationName: 'C' },
      400,
      'configuration-unknown',
      '"C"',
    ],
  ])('%s is refused with a sentence', async (_name, body, status, code, sentence) => {
    const refused = await request(body)
    expect(refused.status).toBe(status)
    expect(await refused.json()).toMatchObject({ code, message: expect.stringContaining(sentence) })
  })

  test('with a certificate that does not exist is refused in the words the CLI knows', async () => {
    const refused = await request({
      platform: 'android',
      type: 'release',
      appBuildSourceId: sourceId,
      appCertificateName: 'Nope',
    })
    expect(refused.status).toBe(400)
    expect((await refused.json()).message).toBe('Certificate with name "Nope" not found for platform "android".')
  })

  test('of a release without a certificate is refused', async () => {
    const refused = await request({ platform: 'android', type: 'release', appBuildSourceId: sourceId })
    expect(refused.status).toBe(422)
    expect(await refused.json()).toMatchObject({ code: 'certificate-missing' })
  })

  test('from a source that is not uploaded, or of another app, is refused', async () => {
    const pending = await announceSource(fixture, app, 10)
    expect(await (await request({ platform: 'web', appBuildSourceId: pending })).json()).toMatchObject({
      code: 'build-source-not-ready',
    })
    const foreign = await uploadSource(fixture, await createTestApp(fixture, app.org))
    expect(await (await request({ platform: 'web', appBuildSourceId: foreign })).json()).toMatchObject({
      code: 'build-source-missing',
    })
  })

  test('a refused request uses up no number and leaves nothing behind', async () => {
    const own = await createTestApp(fixture)
    const body = { platform: 'android', type: 'release', appBuildSourceId: await uploadSource(fixture, own) }
    await fixture.request('POST', `/v1/apps/${own.id}/builds`, { token: own.token, body })
    expect(await (await fixture.request('GET', `/v1/apps/${own.id}/builds`, { token: own.token })).json()).toEqual([])
    expect((await queueBuild(fixture, own)).numberAsString).toBe('1')
  })

  test('is not for viewers, and unknown keys do not matter', async () => {
    const body = { platform: 'web', appBuildSourceId: sourceId, stack: 'macos-tahoe', jobId: 'x', number: 99 }
    expect((await request(body, app.org.tokens.viewer)).status).toBe(403)
    expect((await request(body)).status).toBe(201)
  })

  test.each([
    ['a name with a dash', { 'A-B': '1' }],
    ['a NUL character', { A: 'x\0y' }],
    ['half a surrogate pair', { A: 'x\ud800' }],
    ['too much', { A: 'x'.repeat(100_000) }],
  ])('refuses variables with %s', async (_name, adHocEnvironmentVariables) => {
    const refused = await request({ platform: 'web', appBuildSourceId: sourceId, adHocEnvironmentVariables })
    expect(refused.status).toBe(422)
  })

  test('with variables of its own is refused while nobody can encrypt them', async () => {
    const body = { platform: 'web', appBuildSourceId: sourceId, adHocEnvironmentVariables: { A: 'b' } }
    expect((await request(body)).status).toBe(503)
  })

  test('is told what the platform says of it', async () => {
    const build = await queueBuild(fixture, app)
    const { spec } = await claimed(fixture, worker, build.id)
    const said = { CI: 'true', CI_BUILD_ID: build.id, CI_BUILD_NUMBER: build.numberAsString, CI_PLATFORM: 'web' }
    expect(spec.variables).toMatchObject(said)
    expect(spec.hasSecretVariables).toBe(false)
  })
})

describe('a waiting build', () => {
  test('whose certificate was deleted is rejected when a worker asks, not built unsigned', async () => {
    const own = await createTestApp(fixture)
    const certificate = await addCertificate(fixture, own, 'Gone')
    const build = await queueBuild(fixture, own, {
      platform: 'android',
      type: 'release',
      appCertificateId: certificate,
    })
    await withOrg(fixture.deps.db, own.org.id, (tx) => tx.delete(credentials).where(eq(credentials.id, certificate)))
    const refused = await claim(fixture, worker, build.id)
    expect(refused.status).toBe(409)
    expect(await refused.json()).toMatchObject({
      code: 'build-not-claimable',
      message: expect.stringContaining('certificate'),
    })
    expect(await jobOf(fixture, build)).toMatchObject({
      status: 'rejected',
      statusCode: 'certificate-deleted',
      finishedAt: expect.any(String),
    })
    expect(await auditActions(fixture, own.org.id)).toContain('build.rejected')
  })
})

describe('reading builds', () => {
  let own: TestApp
  let first: TestBuild
  let second: TestBuild
  beforeAll(async () => {
    own = await createTestApp(fixture)
    first = await queueBuild(fixture, own)
    second = await queueBuild(fixture, own, { platform: 'android', type: 'debug' })
  })
  const list = async (query: string) =>
    (await fixture.request('GET', `/v1/apps/${own.id}/builds?${query}`, { token: own.token })).json<TestBuild[]>()

  test('lists newest first as a bare array, with filters and paging', async () => {
    const ids = async (query: string) => (await list(query)).map((build) => build.id)
    expect(await ids('')).toEqual([second.id, first.id])
    expect(await ids('limit=1')).toEqual([second.id])
    expect(await ids('limit=1&offset=1')).toEqual([first.id])
    expect(await ids('numberAsString=1')).toEqual([first.id])
    expect(await ids('platform=android')).toEqual([second.id])
    expect(await ids('platform=ios')).toEqual([])
  })

  test('adds what relations ask for', async () => {
    const path = `/v1/apps/${own.id}/builds/${first.id}`
    const read = async (relations: string) =>
      (await fixture.request('GET', `${path}?relations=${relations}`, { token: own.token })).json()
    const bare = await read('')
    expect(bare).toMatchObject({ id: first.id, jobId: first.jobId, type: null })
    expect(bare).not.toHaveProperty('job')
    expect(await read('job')).toMatchObject({ job: { id: first.jobId, status: 'queued', finishedAt: null } })
    expect(await read('appBuildArtifacts,job')).toMatchObject({ appBuildArtifacts: [], job: { id: first.jobId } })
    expect(await read('job,job.jobLogs')).toMatchObject({ job: { jobLogs: [] } })
  })

  test('is 404 for another organization and for another app', async () => {
    const rival = await createTestApp(fixture)
    const sibling = await createTestApp(fixture, own.org)
    const path = `/builds/${first.id}`
    expect((await fixture.request('GET', `/v1/apps/${own.id}${path}`, { token: rival.token })).status).toBe(404)
    expect((await fixture.request('GET', `/v1/apps/${sibling.id}${path}`, { token: own.token })).status).toBe(404)
    expect((await fixture.request('GET', `/v1/jobs/${first.jobId}`, { token: rival.token })).status).toBe(404)
    expect((await fixture.request('GET', `/v1/jobs/${first.jobId}`, { token: own.token })).status).toBe(200)
  })

  test('is changed by PATCH: absent stays, null clears', async () => {
    const patch = async (body: Record<string, unknown>) =>
      (await fixture.request('PATCH', `/v1/apps/${own.id}/builds/${first.id}`, { token: own.token, body })).json()
    await patch({ minAndroidAppVersionCode: '10', maxIosAppVersionCode: '20', customProperties: { channel: 'x' } })
    const changed = await patch({ maxIosAppVersionCode: null, displayName: 'First' })
    expect(changed).toMatchObject({
      minAndroidAppVersionCode: '10',
      maxIosAppVersionCode: null,
      customProperties: { channel: 'x' },
      displayName: 'First',
    })
    expect(await auditActions(fixture, own.org.id)).toContain('build.updated')
  })
})

describe('artefacts', () => {
  test('are listed, downloaded and linked once the build stored them', async () => {
    const build = await queueBuild(fixture, app)
    const taken = await claimed(fixture, worker, build.id)
    const bytes = new Uint8Array(Buffer.from('the artefact'))
    const id = await storeArtifact(fixture, taken, bytes, { fileName: 'web-1.zip' })
    expect((await underLease(fixture, taken, 'finish', { status: 'succeeded' })).status).toBe(204)
    const loaded = await (await get(`/builds/${build.id}?relations=appBuildArtifacts,job`)).json()
    expect(loaded).toMatchObject({
      appBuildArtifactId: id,
      job: { status: 'succeeded' },
      appBuildArtifacts: [{ id, type: 'zip', status: 'ready', fileName: 'web-1.zip', fileSizeInBytes: bytes.length }],
    })
    expect(await (await get(`/builds/${build.id}/artifacts`)).json()).toHaveLength(1)
    const download = await get(`/builds/${build.id}/artifacts/${id}/download`)
    expect(Object.fromEntries(download.headers)).toMatchObject({
      'content-length': String(bytes.length),
      'content-type': 'application/zip',
      'x-checksum': sha256(bytes),
      'content-disposition': expect.stringContaining('web-1.zip'),
    })
    expect(await download.text()).toBe('the artefact')
    const link = await (
      await get(`/builds/${build.id}/artifacts/${id}/signed-download-url?fileName=my.zip`)
    ).json<{
      url: string
      expiresAt: number
    }>()
    expect(link.expiresAt).toBeGreaterThan(Date.now())
    const followed = await fixture.request('GET', new URL(link.url).pathname)
    expect(followed.headers.get('content-disposition')).toContain('my.zip')
    expect(await followed.text()).toBe('the artefact')
  })

  test('of another build, or that are not ready, cannot be downloaded', async () => {
    const build = await queueBuild(fixture, app)
    const other = await queueBuild(fixture, app)
    const taken = await claimed(fixture, worker, build.id)
    const declaration = {
      type: 'zip',
      fileName: 'a.zip',
      mimeType: 'application/zip',
      sizeBytes: 1,
      sha256: 'a'.repeat(64),
    }
    const { artifactId } = await (await underLease(fixture, taken, 'artifacts', declaration)).json<ArtifactUpload>()
    const early = await get(`/builds/${build.id}/artifacts/${artifactId}/download`)
    expect(early.status).toBe(409)
    expect(await early.json()).toMatchObject({ code: 'artifact-not-ready' })
    expect((await get(`/builds/${other.id}/artifacts/${artifactId}/download`)).status).toBe(404)
  })
})
