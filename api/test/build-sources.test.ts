import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  announceSource,
  completeUpload,
  createTestApp,
  openUpload,
  PART_BYTES,
  type PartAnswer,
  sendPart,
  sha256,
  sourceZip,
  type TestApp,
  uploadSource,
} from './build-fixture.js'
import { createFixture, type Fixture } from './fixture.js'
import { writeArchive } from '@capstan/sdk/archive'

let fixture: Fixture
let app: TestApp

beforeAll(async () => {
  fixture = await createFixture()
  app = await createTestApp(fixture)
})
afterAll(() => fixture[Symbol.asyncDispose]())

async function begin(bytes: Uint8Array) {
  const sourceId = await announceSource(fixture, app, bytes.length)
  return { sourceId, uploadId: await openUpload(fixture, app, sourceId) }
}

const send = async (upload: { sourceId: string; uploadId: string }, number: number, bytes: Uint8Array<ArrayBuffer>) =>
  (await sendPart(fixture, app, upload, { number, bytes })).json<PartAnswer>()

const sourceOf = async (id: string) =>
  (await fixture.request('GET', `/v1/apps/${app.id}/build-sources/${id}`, { token: app.token })).json()

/** More than one part, and not compressible. */
function largeZip(): Uint8Array<ArrayBuffer> {
  return new Uint8Array(writeArchive([{ path: 'large.bin', content: randomBytes(PART_BYTES + 1000) }]))
}

describe('a build source', () => {
  test('of one part is stored, ready and downloadable as it was', async () => {
    const bytes = sourceZip('one part')
    const id = await uploadSource(fixture, app, bytes)
    expect(await sourceOf(id)).toMatchObject({ id, status: 'ready', type: 'archive', fileSizeInBytes: bytes.length })
    const path = `/v1/apps/${app.id}/build-sources/${id}/download`
    const download = await fixture.request('GET', path, { token: app.token })
    expect(download.headers.get('content-length')).toBe(String(bytes.length))
    expect(download.headers.get('x-checksum')).toBe(sha256(bytes))
    expect(sha256(new Uint8Array(await download.arrayBuffer()))).toBe(sha256(bytes))
  })

  test('of several parts that arrive out of order is joined in order', async () => {
    const bytes = largeZip()
    const upload = await begin(bytes)
    const second = await send(upload, 2, bytes.slice(PART_BYTES))
    const first = await send(upload, 1, bytes.slice(0, PART_BYTES))
    expect([first.partNumber, second.partNumber]).toEqual([1, 2])
    expect((await completeUpload(fixture, app, upload, [first, second])).status).toBe(200)
    const path = `/v1/apps/${app.id}/build-sources/${upload.sourceId}/download`
    const download = await fixture.request('GET', path, { token: app.token })
    expect(sha256(new Uint8Array(await download.arrayBuffer()))).toBe(sha256(bytes))
  })

  test('may be completed twice, also at once, and a part may be sent again', async () => {
    const bytes = sourceZip('twice')
    const upload = await begin(bytes)
    const part = await send(upload, 1, bytes)
    expect(await send(upload, 1, bytes)).toEqual(part)
    const both = await Promise.all([1, 2].map(() => completeUpload(fixture, app, upload, [part])))
    expect(both.map((answer) => answer.status)).toEqual([200, 200])
    expect((await completeUpload(fixture, app, upload, [part])).status).toBe(200)
    expect(await send(upload, 1, bytes)).toEqual(part)
    expect(await sourceOf(upload.sourceId)).toMatchObject({ status: 'ready' })
  })

  test('keeps its content: another part after the end is refused', async () => {
    const bytes = sourceZip('kept')
    const upload = await begin(bytes)
    const part = await send(upload, 1, bytes)
    await completeUpload(fixture, app, upload, [part])
    const late = await sendPart(fixture, app, upload, { number: 1, bytes: sourceZip('other') })
    expect(late.status).toBe(422)
    expect(await late.json()).toMatchObject({ code: 'upload-part-invalid' })
  })

  test('takes the newest of two different parts with one number', async () => {
    const bytes = sourceZip('newest')
    const upload = await begin(bytes)
    await send(upload, 1, sourceZip('older!'))
    const part = await send(upload, 1, bytes)
    expect((await completeUpload(fixture, app, upload, [part])).status).toBe(200)
  })

  test.each([
    ['no part', [], 'No part has been uploaded'],
    ['a missing first part', [2], 'Part 1 of 2 has not been uploaded'],
    ['a listed part that never came', [1], 'Part 2 of 2 has not been uploaded'],
  ])('with %s is refused', async (_name, numbers, sentence) => {
    const bytes = sourceZip()
    const upload = await begin(bytes)
    for (const number of numbers) await send(upload, number, bytes)
    const listed = numbers.length === 0 ? [] : [{ partNumber: 1 }, { partNumber: 2 }]
    const refused = await completeUpload(fixture, app, upload, listed)
    expect(refused.status).toBe(422)
    expect(await refused.json()).toMatchObject({
      code: 'upload-incomplete',
      message: expect.stringContaining(sentence),
    })
    expect(await sourceOf(upload.sourceId)).toMatchObject({ status: 'pending' })
  })

  test('with an etag of other bytes, or an unlisted part, is refused', async () => {
    const bytes = sourceZip()
    const upload = await begin(bytes)
    await send(upload, 1, bytes)
    const wrong = await completeUpload(fixture, app, upload, [{ partNumber: 1, etag: 'f'.repeat(64) }])
    expect(await wrong.json()).toMatchObject({ code: 'upload-incomplete', message: expect.stringContaining('Part 1') })
    await send(upload, 2, bytes)
    const unlisted = await completeUpload(fixture, app, upload, [{ partNumber: 1 }])
    expect(await unlisted.json()).toMatchObject({ message: expect.stringContaining('Part 2 was uploaded') })
  })

  test('of another size than announced is refused', async () => {
    const bytes = sourceZip()
    const sourceId = await announceSource(fixture, app, bytes.length + 1)
    const upload = { sourceId, uploadId: await openUpload(fixture, app, sourceId) }
    const refused = await completeUpload(fixture, app, upload, [await send(upload, 1, bytes)])
    expect(await refused.json()).toMatchObject({
      code: 'upload-incomplete',
      message: expect.stringContaining('announced'),
    })
  })

  test('without a size or an address is refused', async () => {
    const path = `/v1/apps/${app.id}/build-sources`
    expect((await fixture.request('POST', path, { token: app.token, body: {} })).status).toBe(422)
  })

  test('is out of reach for another organization, another app and a viewer', async () => {
    const upload = await begin(sourceZip())
    const rival = await createTestApp(fixture)
    const sibling = await createTestApp(fixture, app.org)
    const part = { number: 1, bytes: sourceZip() }
    expect((await sendPart(fixture, { ...app, token: rival.token }, upload, part)).status).toBe(404)
    expect((await sendPart(fixture, sibling, upload, part)).status).toBe(404)
    expect((await sendPart(fixture, { ...app, token: app.org.tokens.viewer }, upload, part)).status).toBe(403)
    expect((await sendPart(fixture, app, upload, part)).status).toBe(200)
  })

  test('cannot be filled through the upload of another source', async () => {
    const [one, two] = [await begin(sourceZip()), await begin(sourceZip())]
    const mixed = { sourceId: one.sourceId, uploadId: two.uploadId }
    const refused = await sendPart(fixture, app, mixed, { number: 1, bytes: sourceZip() })
    expect(await refused.json()).toMatchObject({ code: 'upload-not-found' })
  })

  test.each([
    ['partNumber 0', { partNumber: '0' }],
    ['partNumber x', { partNumber: 'x' }],
    ['no file', { partNumber: '1' }],
  ])('refuses a part with %s without a 5xx', async (_name, fields) => {
    const upload = await begin(sourceZip())
    const form = new FormData()
    if (_name !== 'no file') form.append('blob', new File([sourceZip()], 'a.zip'))
    for (const [name, value] of Object.entries(fields)) form.append(name, value)
    const path = `/v1/apps/${app.id}/build-sources/${upload.sourceId}/upload?action=mpu-uploadpart&uploadId=${upload.uploadId}`
    const refused = await fixture.request('PUT', path, { token: app.token, body: form })
    expect(refused.status).toBe(422)
  })

  test('hands out upload ids that need no escaping in a URL', async () => {
    const { uploadId } = await begin(sourceZip())
    expect(uploadId).toMatch(/^[A-Za-z0-9_-]{32}$/)
  })
})

describe('an archive', () => {
  const zip = sourceZip('archive')
  const patched = (offset: number, value: number) => {
    const copy = zip.slice()
    copy[offset < 0 ? copy.length + offset : offset] = value
    return copy
  }
  const named = (name: string) => {
    const text = Buffer.from(writeArchive([{ path: 'x'.repeat(name.length), content: new Uint8Array(3) }])).toString(
      'latin1',
    )
    return new Uint8Array(Buffer.from(text.replaceAll('x'.repeat(name.length), name), 'latin1'))
  }
  test.each([
    ['cut off at the end', zip.slice(0, -10), 'cut off'],
    ['cut off in the middle', zip.slice(0, Math.floor(zip.length / 2)), 'cut off'],
    ['cut off at the front', zip.slice(4), 'not a zip archive'],
    ['that is text', new Uint8Array(Buffer.from('hello, this is not an archive at all')), 'not a zip archive'],
    ['of a few bytes', new Uint8Array([1, 2, 3]), 'too short'],
    ['without entries', new Uint8Array(Buffer.from(`PK\x05\x06${'\0'.repeat(18)}`, 'latin1')), 'empty'],
    ['with a byte in front', new Uint8Array([0x50, 0x4b, 3, 4, ...zip]), 'cut off or damaged'],
    ['with a wrong directory offset', patched(-6, 1), 'cut off or damaged'],
    ['with a wrong entry count', patched(-12, 9), ''],
    ['with a parent folder', named('../evil'), 'outside the project'],
    ['with an absolute path', named('/etc/pw'), 'outside the project'],
    ['with a Windows path', named('C:\\evil'), 'outside the project'],
  ])('%s is refused', async (_name, bytes, sentence) => {
    const upload = await begin(bytes)
    const refused = await completeUpload(fixture, app, upload, [await send(upload, 1, bytes)])
    expect(refused.status).toBe(422)
    const problem = await refused.json()
    expect(problem).toMatchObject({ code: 'build-source-invalid', message: expect.stringContaining(sentence) })
    expect(await sourceOf(upload.sourceId)).toMatchObject({ status: 'pending' })
  })
})
