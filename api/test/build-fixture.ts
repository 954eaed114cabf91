import { createHash } from 'node:crypto'
import { writeArchive } from '@capstan/sdk/archive'
import { apps, auditEvents, credentials, credentialVersions, newId, withOrg } from '@capstan/migrations'
import { asc } from 'drizzle-orm'
import type { ArtifactUpload, Claim } from '@capstan/migrations/messages'
import type { Answer, Fixture, TestOrganization } from './fixture.js'

export const PART_BYTES = 10 * 1024 * 1024

/** A project as the CLI would zip it. */
export function sourceZip(content = 'hello'): Uint8Array<ArrayBuffer> {
  return new Uint8Array(
    writeArchive([
      { path: 'package.json', content: new TextEncoder().encode('{}') },
      { path: 'index.html', content: new TextEncoder().encode(content) },
    ]),
  )
}

export const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

export type TestApp = { id: string; org: TestOrganization; token: string }

export async function createTestApp(fixture: Fixture, org?: TestOrganization): Promise<TestApp> {
  const owner = org ?? (await fixture.createOrganization())
  const id = newId()
  await withOrg(fixture.deps.db, owner.id, (tx) =>
    tx.insert(apps).values({ id, orgId: owner.id, name: 'App', type: 'capacitor' }),
  )
  return { id, org: owner, token: owner.tokens.member }
}

/** A credential whose envelope holds nothing: enough for everything but opening it. */
export async function addCertificate(fixture: Fixture, app: TestApp, name: string): Promise<string> {
  const id = newId()
  await withOrg(fixture.deps.db, app.org.id, async (tx) => {
    await tx.insert(credentials).values({
      id,
      orgId: app.org.id,
      appId: app.id,
      name,
      nameLower: name.toLowerCase(),
      platform: 'android',
      type: 'production',
      kind: 'android.keystore',
      currentVersion: 3,
    })
    await tx.insert(credentialVersions).values({
      id: newId(),
      orgId: app.org.id,
      credentialId: id,
      version: 3,
      envelope: new Uint8Array(1),
      kekId: 'none',
      kekVersion: 1,
      fingerprintSha256: 'f'.repeat(64),
      fileName: 'test.p12',
      fileMimeType: 'application/x-pkcs12',
      fileSizeBytes: 1,
    })
  })
  return id
}

export async function announceSource(fixture: Fixture, app: TestApp, sizeBytes: number): Promise<string> {
  const answer = await fixture.request('POST', `/v1/apps/${app.id}/build-sources`, {
    token: app.token,
    body: { fileSizeInBytes: sizeBytes },
  })
  return (await answer.json<{ id: string }>()).id
}

export async function openUpload(fixture: Fixture, app: TestApp, sourceId: string): Promise<string> {
  const path = `/v1/apps/${app.id}/build-sources/${sourceId}/upload?action=mpu-create`
  const answer = await fixture.request('POST', path, { token: app.token, body: {} })
  return (await answer.json<{ uploadId: string }>()).uploadId
}

export type Upload = { sourceId: string; uploadId: string }
export type PartAnswer = { partNumber: number; etag: string }

export function sendPart(
  fixture: Fixture,
  app: TestApp,
  { sourceId, uploadId }: Upload,
  part: { number: number; bytes: Uint8Array<ArrayBuffer> },
): Promise<Answer> {
  const form = new FormData()
  form.append('blob', new File([part.bytes], 'source.zip'))
  form.append('partNumber', String(part.number))
  const path = `/v1/apps/${app.id}/build-sources/${sourceId}/upload?action=mpu-uploadpart&uploadId=${uploadId}`
  return fixture.request('PUT', path, { token: app.token, body: form })
}

export function completeUpload(
  fixture: Fixture,
  app: TestApp,
  { sourceId, uploadId }: Upload,
  parts: unknown[],
): Promise<Answer> {
  const path = `/v1/apps/${app.id}/build-sources/${sourceId}/upload?action=mpu-complete&uploadId=${uploadId}`
  return fixture.request('POST', path, { token: app.token, body: { parts } })
}

/** A source that is ready to be built. */
export async function uploadSource(fixture: Fixture, app: TestApp, bytes = sourceZip()): Promise<string> {
  const sourceId = await announceSource(fixture, app, bytes.length)
  const uploadId = await openUpload(fixture, app, sourceId)
  const part = await (await sendPart(fixture, app, { sourceId, uploadId }, { number: 1, bytes })).json()
  const completed = await completeUpload(fixture, app, { sourceId, uploadId }, [part])
  if (completed.status !== 200) throw new Error(`The source was refused: ${await completed.text()}`)
  return sourceId
}

export type TestBuild = { id: string; jobId: string; numberAsString: string; app: TestApp }

export async function queueBuild(
  fixture: Fixture,
  app: TestApp,
  body: Record<string, unknown> = {},
): Promise<TestBuild> {
  const appBuildSourceId = await uploadSource(fixture, app)
  const answer = await fixture.request('POST', `/v1/apps/${app.id}/builds`, {
    token: app.token,
    body: { platform: 'web', appBuildSourceId, ...body },
  })
  if (answer.status !== 201) throw new Error(`The build was refused: ${await answer.text()}`)
  return { ...(await answer.json<Omit<TestBuild, 'app'>>()), app }
}

export type TestWorker = { id: string; token: string }

export function claim(fixture: Fixture, worker: TestWorker, buildId: string): Promise<Answer> {
  const body = { worker: 'test-worker', capabilities: ['android', 'web'] }
  return fixture.request('POST', `/worker/v1/builds/${buildId}/claim`, { token: worker.token, body })
}

export async function claimed(fixture: Fixture, worker: TestWorker, buildId: string): Promise<Claim> {
  const answer = await claim(fixture, worker, buildId)
  if (answer.status !== 200) throw new Error(`The build was not claimed: ${await answer.text()}`)
  return answer.json<Claim>()
}

/** A call of `/worker/v1/lease/…` under the lease of a claim. */
export const underLease = (fixture: Fixture, { lease }: Claim, path: string, body: unknown = {}) =>
  fixture.request('POST', `/worker/v1/lease/${path}`, { token: lease.token, body })

export const line = (text: string, phase = 'compile') => ({ at: new Date().toISOString(), phase, text })

/** Declares, uploads and finalizes an artefact; answers its id. */
export async function storeArtifact(
  fixture: Fixture,
  claim: Claim,
  bytes: Uint8Array<ArrayBuffer>,
  declaration: object = {},
): Promise<string> {
  const declared = await underLease(fixture, claim, 'artifacts', { ...declarationOf(bytes), ...declaration })
  const { artifactId, uploadUrl } = await declared.json<ArtifactUpload>()
  const put = await putBytes(fixture, uploadUrl, bytes)
  if (put.status >= 300) throw new Error(`The bytes were refused: ${await put.text()}`)
  const finalized = await underLease(fixture, claim, `artifacts/${artifactId}/finalize`)
  if (finalized.status !== 204) throw new Error(`The artefact was refused: ${await finalized.text()}`)
  return artifactId
}

export const declarationOf = (bytes: Uint8Array, fileName = 'web.zip') => ({
  type: 'zip',
  fileName,
  mimeType: 'application/zip',
  sizeBytes: bytes.length,
  sha256: sha256(bytes),
})

export function putBytes(fixture: Fixture, url: string, bytes: Uint8Array<ArrayBuffer>): Promise<Answer> {
  const headers = { 'content-type': 'application/octet-stream', 'content-length': String(bytes.length) }
  return fixture.request('PUT', new URL(url).pathname, { body: bytes, headers })
}

export async function jobOf(fixture: Fixture, build: TestBuild, relations = ''): Promise<Record<string, unknown>> {
  const answer = await fixture.request('GET', `/v1/jobs/${build.jobId}?relations=${relations}`, {
    token: build.app.token,
  })
  return answer.json()
}

/** Actions of the organization's audit chain, oldest first. */
export async function auditActions(fixture: Fixture, orgId: string): Promise<string[]> {
  const rows = await withOrg(fixture.deps.db, orgId, (tx) =>
    tx.select({ action: auditEvents.action }).from(auditEvents).orderBy(asc(auditEvents.seq)),
  )
  return rows.map((row) => row.action)
}
