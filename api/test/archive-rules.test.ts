import { artifacts, builds, jobs, newId, withOrg } from '@capstan/migrations'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ArchiveCase, archiveCorpus } from '../../sdk/test/archive-corpus.js'
import { makeZip } from '../../sdk/test/make-zip.js'
import { type Answer, createFixture, type Fixture, type TestOrganization } from './fixture.js'
import { type Body, createLiveUpdateApp, type LiveUpdateApp, sha256 } from './live-update-app.js'

let fixture: Fixture
let org: TestOrganization
let app: LiveUpdateApp
let number = 5_000
const page = { name: 'index.html', content: '<h1>hello</h1>'.repeat(20) }

/** Cases under the limits of a server. */
const corpus = archiveCorpus.filter(([, , , , limits]) => limits === undefined)
/** The first cases of each verdict; all of them judge the client and the validator that both share. */
const ofEach = (count: number, cases: readonly ArchiveCase[] = corpus) =>
  cases.filter(([, , code], index) => cases.slice(0, index).filter((earlier) => earlier[2] === code).length < count)
/** Traversal, links and types, bombs, collisions. */
const ofNamesTypesAndSizes = corpus.filter(([, , code]) =>
  /^ARCHIVE_(NAME|TOO_DEEP|ENTRY_TYPE|RATIO|SIZE|TRUNCATED)/.test(code ?? 'ARCHIVE_NAME'),
)
const AT_ONCE = 6

beforeAll(async () => {
  fixture = await createFixture()
  org = await fixture.createOrganization()
  app = await createLiveUpdateApp(fixture, org)
  await app.must('POST', '/channels', { name: 'production' })
})
afterAll(() => fixture[Symbol.asyncDispose]())

const zipOf = ([, entries, , shape]: ArchiveCase) => new Uint8Array(makeZip([page, ...entries], shape))

/** The reason code in a refusal, null for what was accepted. */
async function verdict(answer: Answer): Promise<string | null> {
  const text = await answer.text()
  if (answer.status < 300) return null
  expect([422, answer.status], text).toEqual([422, 422])
  return /\((ARCHIVE_\w+)\)/.exec((JSON.parse(text) as Body).message)?.[1] ?? text
}

const inOneRequest = async (bytes: Uint8Array<ArrayBuffer>) => (await app.publishZip(bytes)).response

async function inParts(bytes: Uint8Array<ArrayBuffer>): Promise<Answer> {
  const bundle = await app.must('POST', '/bundles', {})
  const file = await app.sendFile(bundle.id, { checksum: sha256(bytes), sizeInBytes: bytes.byteLength })
  const { id: fileId } = await file.json<Body>()
  const base = `/bundles/${bundle.id}/files/${fileId}/upload`
  const { uploadId } = await app.must('POST', `${base}?action=mpu-create`, {})
  const parts: unknown[] = []
  for (const [index, part] of [bytes.slice(0, 50), bytes.slice(50)].entries()) {
    const form = new FormData()
    form.append('blob', new Blob([part]), 'bundle.zip')
    form.append('partNumber', String(index + 1))
    const path = `${app.path}${base}?action=mpu-uploadpart&uploadId=${uploadId}`
    parts.push(await (await fixture.request('PUT', path, { token: app.token, body: form })).json())
  }
  await app.must('POST', `${base}?action=mpu-complete&uploadId=${uploadId}`, { parts })
  return app.call('PATCH', `/bundles/${bundle.id}`, { artifactStatus: 'ready', appBundleFileId: fileId })
}

/** As the output of a web build, the way a worker leaves it. */
async function asBuildOutput(content: Uint8Array): Promise<Answer> {
  const [buildId, artifactId] = [newId(), newId()]
  const of = { orgId: org.id, appId: app.appId, buildId }
  const objectKey = `orgs/${org.id}/apps/${app.appId}/artifacts/${artifactId}`
  await fixture.deps.objects.put(objectKey, content, { contentType: 'application/zip' })
  await withOrg(fixture.deps.db, org.id, async (tx) => {
    number += 1
    await tx.insert(builds).values({ id: buildId, orgId: org.id, appId: app.appId, number, platform: 'web' })
    await tx.insert(jobs).values({ id: newId(), ...of, status: 'succeeded', finishedAt: new Date() })
    await tx.insert(artifacts).values({
      id: artifactId,
      ...of,
      attempt: 1,
      type: 'zip',
      status: 'ready',
      fileName: 'web.zip',
      fileMimeType: 'application/zip',
      fileSizeBytes: content.byteLength,
      sha256: sha256(content),
      objectKey,
    })
  })
  return app.call('POST', '/deployments', { appBuildId: buildId, appChannelName: 'production' })
}

/** The files of a case one by one, with a manifest that names them all. */
async function asManifest([, entries]: ArchiveCase): Promise<Answer> {
  const bundle = await app.must('POST', '/bundles', { artifactType: 'manifest' })
  const files = [page, ...entries].map(({ name, content }) => ({
    href: name as string,
    content: new TextEncoder().encode(content as string),
  }))
  const items = files.map(({ href, content }) => ({
    href,
    checksum: sha256(content),
    sizeInBytes: content.byteLength,
  }))
  const manifest = {
    href: 'capawesome-live-update-manifest.json',
    content: new TextEncoder().encode(JSON.stringify(items)),
  }
  for (const file of [...files, manifest]) {
    const sent = await app.sendFile(bundle.id, { ...file, name: 'x' })
    if (sent.status >= 300) return sent
  }
  return app.call('PATCH', `/bundles/${bundle.id}`, { artifactStatus: 'ready' })
}

async function judgeAll(cases: readonly ArchiveCase[], send: (one: ArchiveCase) => Promise<Answer>) {
  const verdicts: [string, string | null][] = []
  for (let at = 0; at < cases.length; at += AT_ONCE) {
    const some = cases.slice(at, at + AT_ONCE)
    const judged = await Promise.all(some.map(async (one) => verdict(await send(one))))
    verdicts.push(...some.map(([what], index): [string, string | null] => [what, judged[index] ?? null]))
  }
  return verdicts
}

const expected = (cases: readonly ArchiveCase[]) => cases.map(([what, , code]) => [what, code])

test.each([
  ['in one request', (one: ArchiveCase) => inOneRequest(zipOf(one)), ofEach(1)],
  ['in parts', (one: ArchiveCase) => inParts(zipOf(one)), ofEach(1, ofNamesTypesAndSizes)],
  ['as the output of a build', (one: ArchiveCase) => asBuildOutput(zipOf(one)), ofEach(1, ofNamesTypesAndSizes)],
])('a zip %s is judged by every rule, with the reason that a device gives', async (_way, send, cases) => {
  expect(cases.length).toBeGreaterThan(10)
  expect(await judgeAll(cases, send)).toEqual(expected(cases))
})

test('the files of a manifest are judged by the rules that files can break, with the same reasons', async () => {
  const breakable = corpus.filter(
    ([, entries, code, shape]) =>
      shape === undefined &&
      (code === null || /NAME_(UNSAFE|RESERVED|ENCODING|TOO_LONG|COLLISION)|TOO_DEEP/.test(code)) &&
      entries.every((entry) => isPlainFile(entry)),
  )
  const cases = ofEach(3, breakable)
  expect(new Set(cases.map(([, , code]) => code)).size).toBe(7)
  expect(await judgeAll(cases, asManifest)).toEqual(expected(cases))
})

/** A file with a name and a text and nothing that only an archive can say about it. */
function isPlainFile(entry: ArchiveCase[1][number]): boolean {
  const { name, content, ...rest } = entry
  const isFile = typeof name === 'string' && !name.endsWith('/') && typeof content === 'string'
  return isFile && Object.keys(rest).length === 0
}
