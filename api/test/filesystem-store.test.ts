import { randomBytes } from 'node:crypto'
import { chmodSync, copyFileSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'

import { openTestFilesystemStore } from './object-stores.js'
import { openFilesystemStore } from '../src/objects/filesystem-store.js'
import { BODY_OFFSET, CHUNK_BYTES, TAG_BYTES } from '../src/objects/object-cipher.js'

const contentType = 'application/zip'
const damaged = expect.objectContaining({ name: 'ObjectStoreError', code: 'object-damaged' }) as Error

let opened: Awaited<ReturnType<typeof openTestFilesystemStore>>
beforeAll(async () => {
  opened = await openTestFilesystemStore()
})
afterAll(() => opened[Symbol.asyncDispose]())

function filesUnder(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
}
const objectFiles = () => filesUnder(join(opened.dir, 'objects'))

async function putNew(key: string, bytes: Buffer): Promise<string> {
  const before = new Set(objectFiles())
  await opened.store.put(key, bytes, { contentType })
  return objectFiles().find((path) => !before.has(path))!
}

async function readAll(key: string): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of (await opened.store.get(key)).body) pieces.push(piece as Buffer)
  return Buffer.concat(pieces)
}

test('nothing of an object is readable on the disk: neither bytes, nor name, nor type', async () => {
  const bytes = Buffer.from('-----BEGIN CANARY----- '.repeat(5000))
  await putNew('organizations/canary-name/secret', bytes)
  const disk = filesUnder(opened.dir).map((path) => `${path}\n${readFileSync(path, 'latin1')}`)
  expect(disk.length).toBeGreaterThanOrEqual(2)
  for (const text of disk)
    expect(text.slice(opened.dir.length)).not.toMatch(/CANARY|canary|organizations|secret|application\/zip/)
  expect(readdirSync(join(opened.dir, 'tmp'))).toEqual([])
})

test('files and folders are closed to others', async () => {
  const path = await putNew('closed/to/others', Buffer.from('x'))
  expect(statSync(path).mode & 0o777).toBe(0o600)
  expect(statSync(join(opened.dir, 'objects')).mode & 0o777).toBe(0o700)
})

describe('a file that was changed is not served', () => {
  const bytes = randomBytes(CHUNK_BYTES * 2 + 1000)
  const chunk = CHUNK_BYTES + TAG_BYTES
  let key: string
  let path: string
  let original: Buffer
  beforeEach(async () => {
    key = `tamper/${randomBytes(6).toString('hex')}`
    path = await putNew(key, bytes)
    original = readFileSync(path)
  })
  const replaceWith = (content: Buffer) => {
    chmodSync(path, 0o600)
    writeFileSync(path, content)
  }
  const flipped = (offset: number) => {
    const content = Buffer.from(original)
    content.writeUInt8(content.readUInt8(offset) ^ 1, offset)
    return content
  }

  test('one bit anywhere: magic, suite, salt, facts, tags, every chunk', async () => {
    const offsets = [0, 4, 7, 8, 39, 40, 500, BODY_OFFSET - 1, BODY_OFFSET, BODY_OFFSET + CHUNK_BYTES]
    offsets.push(BODY_OFFSET + chunk, BODY_OFFSET + 2 * chunk, original.length - TAG_BYTES, original.length - 1)
    for (const offset of offsets) {
      replaceWith(flipped(offset))
      await expect(readAll(key), `offset ${offset}`).rejects.toEqual(damaged)
    }
    replaceWith(original)
    expect((await readAll(key)).equals(bytes)).toBe(true)
  })

  test('cut, also at the border of a chunk, or longer', async () => {
    const lengths = [0, 39, BODY_OFFSET, BODY_OFFSET + chunk, BODY_OFFSET + 2 * chunk, original.length - 1]
    for (const length of lengths) {
      replaceWith(original.subarray(0, length))
      await expect(readAll(key), `length ${length}`).rejects.toEqual(damaged)
    }
    replaceWith(Buffer.concat([original, Buffer.alloc(1)]))
    await expect(readAll(key)).rejects.toEqual(damaged)
  })

  test('chunks exchanged or repeated', async () => {
    const chunkAt = (index: number) => original.subarray(BODY_OFFSET + index * chunk, BODY_OFFSET + (index + 1) * chunk)
    const rest = original.subarray(BODY_OFFSET + 2 * chunk)
    const head = original.subarray(0, BODY_OFFSET)
    replaceWith(Buffer.concat([head, chunkAt(1), chunkAt(0), rest]))
    await expect(readAll(key)).rejects.toEqual(damaged)
    replaceWith(Buffer.concat([head, chunkAt(0), chunkAt(0), rest]))
    await expect(readAll(key)).rejects.toEqual(damaged)
  })

  test('a range does not reach beyond what it verified', async () => {
    replaceWith(flipped(BODY_OFFSET + chunk + 5))
    const good = await opened.store.get(key, { range: { start: 0, end: 99 } })
    const pieces: Buffer[] = []
    for await (const piece of good.body) pieces.push(piece as Buffer)
    expect(Buffer.concat(pieces).equals(bytes.subarray(0, 100))).toBe(true)
    const bad = await opened.store.get(key, { range: { start: CHUNK_BYTES, end: CHUNK_BYTES + 10 } })
    await expect(bad.body.toArray()).rejects.toEqual(damaged)
  })

  test("another object's file, whole or only its body", async () => {
    const other = await putNew(`${key}-other`, randomBytes(bytes.length))
    const otherBytes = readFileSync(other)
    replaceWith(otherBytes)
    await expect(readAll(key)).rejects.toEqual(damaged)
    await expect(opened.store.head(key)).rejects.toEqual(damaged)
    replaceWith(Buffer.concat([original.subarray(0, BODY_OFFSET), otherBytes.subarray(BODY_OFFSET)]))
    await expect(readAll(key)).rejects.toEqual(damaged)
  })

  test('what is below a folder goes all the same', async () => {
    replaceWith(flipped(500))
    await putNew(`${key}-other`, bytes)
    await expect(Readable.from(opened.store.list('tamper/')).toArray()).rejects.toEqual(damaged)
    expect(await opened.store.deleteBelow('tamper/')).toBeGreaterThanOrEqual(2)
    expect(await Readable.from(opened.store.list('tamper/')).toArray()).toEqual([])
  })

  test('a file copied to another name is noticed when listing', async () => {
    const copy = path.replace(/[0-9a-f]{8}\.o$/, '00000000.o')
    copyFileSync(path, copy)
    await expect(Readable.from(opened.store.list('tamper/')).toArray()).rejects.toEqual(damaged)
    await opened[Symbol.asyncDispose]()
    opened = await openTestFilesystemStore()
  })
})

test('the store says when it is opened with another key, and opens again with its own', async () => {
  await putNew('mark/1', Buffer.from('x'))
  const { dir, storeKey, urls } = opened
  await expect(openFilesystemStore({ dir, storeKey: randomBytes(32), urls })).rejects.toMatchObject({
    code: 'object-store-key-wrong',
    message: expect.stringContaining('OBJECT_STORE_KEY_FILE') as string,
  })
  const again = await openFilesystemStore({ dir, storeKey, urls })
  expect(await again.head('mark/1')).toMatchObject({ sizeBytes: 1 })
})

test('files that a crash left behind are removed at the next start, those of a running upload are not', async () => {
  const [old, fresh] = [join(opened.dir, 'tmp', 'old'), join(opened.dir, 'tmp', 'fresh')]
  for (const path of [old, fresh]) writeFileSync(path, 'x')
  const twoDaysAgo = new Date(Date.now() - 2 * 86_400_000)
  utimesSync(old, twoDaysAgo, twoDaysAgo)
  await openFilesystemStore(opened)
  expect(readdirSync(join(opened.dir, 'tmp'))).toEqual(['fresh'])
})
