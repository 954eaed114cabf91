import { createHash, randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'

import { serve, type ServerType } from '@hono/node-server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { createApp } from '../src/app.js'
import type { ObjectStore, OpenedObject } from '../src/objects/object-store.js'
import { bareDeps } from './bare-deps.js'
import { publicUrl, type StoreUnderTest } from './object-stores.js'

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
const contentType = 'application/zip'

async function bytesOf({ body }: OpenedObject): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of body) pieces.push(piece as Buffer)
  return Buffer.concat(pieces)
}

async function keysUnder(store: ObjectStore, prefix: string): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of store.list(prefix)) keys.push(key)
  return keys.sort()
}

/** Cut at odd places, so that pieces and chunks never line up. */
function streamOf(bytes: Buffer, step = 50_021): Readable {
  return Readable.from(
    (function* () {
      for (let offset = 0; offset < bytes.length; offset += step) yield bytes.subarray(offset, offset + step)
    })(),
  )
}

/** What every store must do, whatever keeps its bytes. */
export function testObjectStore(open: () => Promise<StoreUnderTest>): void {
  let opened: StoreUnderTest
  let store: ObjectStore
  let server: ServerType
  let address: string
  beforeAll(async () => {
    opened = await open()
    store = opened.store
    const app = createApp(bareDeps({ objects: store, objectUrls: opened.urls }))
    server = await new Promise((resolve) => {
      const listening = serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 0 }, () => resolve(listening))
    })
    address = `http://127.0.0.1:${(server.address() as { port: number }).port}`
  })
  afterAll(async () => {
    await new Promise((resolve) => server.close(resolve))
    await opened[Symbol.asyncDispose]()
  })
  const newKey = () => `tests/${randomBytes(8).toString('hex')}/content`
  /** Links of the API are made for its public address; the test serves it elsewhere. S3's own links are followed as they are. */
  const reach = (url: string) => url.replace(publicUrl, address)
  const refused = (code: string) => expect.objectContaining({ name: 'ObjectStoreError', code }) as Error

  test.each([0, 1, 65_535, 65_536, 65_537, 131_072, 300_001])('%i bytes come back as they went in', async (size) => {
    const bytes = randomBytes(size)
    const [whole, streamed] = [newKey(), newKey()]
    const facts = { sizeBytes: size, sha256: sha256(bytes), contentType }
    expect(await store.put(whole, bytes, { contentType })).toEqual({ key: whole, ...facts })
    expect(await store.put(streamed, streamOf(bytes), { contentType })).toEqual({ key: streamed, ...facts })
    for (const key of [whole, streamed]) {
      expect(await store.head(key)).toEqual({ key, ...facts })
      const found = await store.get(key)
      expect(found).toMatchObject(facts)
      expect((await bytesOf(found)).equals(bytes)).toBe(true)
    }
  })

  test('ranges give exactly the bytes asked for, across chunk borders and past the end', async () => {
    const bytes = randomBytes(200_000)
    const key = newKey()
    await store.put(key, bytes, { contentType })
    for (const [start, end] of [
      [0, 0],
      [65_535, 65_536],
      [10, 150_000],
      [199_999, 199_999],
      [131_072, 131_072],
      [150_000, 999_999],
      [65_536, undefined],
    ] as const) {
      const found = await store.get(key, { range: { start, ...(end !== undefined && { end }) } })
      const last = Math.min(end ?? 199_999, 199_999)
      expect(found.range).toEqual({ start, end: last })
      expect((await bytesOf(found)).equals(bytes.subarray(start, last + 1))).toBe(true)
    }
    await expect(store.get(key, { range: { start: 200_000 } })).rejects.toEqual(refused('object-range-invalid'))
    await expect(store.get(key, { range: { start: 5, end: 4 } })).rejects.toEqual(refused('object-range-invalid'))
  })

  test('an object is never replaced', async () => {
    const key = newKey()
    await store.put(key, Buffer.from('first'), { contentType })
    await expect(store.put(key, Buffer.from('second'), { contentType })).rejects.toEqual(refused('object-exists'))
    expect((await bytesOf(await store.get(key))).toString()).toBe('first')
  })

  test('of twenty writers of one key exactly one wins, and its bytes are whole', async () => {
    const key = newKey()
    const bodies = Array.from({ length: 20 }, () => randomBytes(100_000))
    const results = await Promise.allSettled(bodies.map((body) => store.put(key, streamOf(body), { contentType })))
    const won = results.flatMap((result, index) => (result.status === 'fulfilled' ? [index] : []))
    expect(won).toHaveLength(1)
    for (const result of results) {
      if (result.status === 'rejected') expect(result.reason).toEqual(refused('object-exists'))
    }
    expect((await bytesOf(await store.get(key))).equals(bodies[won[0] ?? 0] ?? Buffer.alloc(0))).toBe(true)
  })

  test.each([
    ['another hash', { sha256: sha256(Buffer.from('other')) }, 'object-checksum-mismatch'],
    ['fewer bytes than announced', { sizeBytes: 6 }, 'object-size-mismatch'],
    ['more bytes than announced', { sizeBytes: 4 }, 'object-size-mismatch'],
    ['more bytes than allowed', { maxBytes: 4 }, 'object-too-large'],
  ])('%s is refused and nothing is stored', async (_what, options, code) => {
    const key = newKey()
    for (const body of [Buffer.from('bytes'), Readable.from([Buffer.from('bytes')])]) {
      await expect(store.put(key, body, { contentType, ...options })).rejects.toEqual(refused(code))
    }
    expect(await store.head(key)).toBeNull()
    const exact = { sha256: sha256(Buffer.from('bytes')), sizeBytes: 5, maxBytes: 5 }
    expect(await store.put(key, Buffer.from('bytes'), { contentType, ...exact })).toMatchObject({ sizeBytes: 5 })
  })

  test('a source that breaks off leaves nothing', async () => {
    const key = newKey()
    const broken = Readable.from(
      (async function* () {
        yield randomBytes(100_000)
        throw new Error('the line went dead')
      })(),
    )
    await expect(store.put(key, broken, { contentType })).rejects.toThrow('the line went dead')
    expect(await store.head(key)).toBeNull()
  })

  test('what is absent is null, not found or already deleted', async () => {
    const key = newKey()
    expect(await store.head(key)).toBeNull()
    await expect(store.get(key)).rejects.toEqual(refused('object-not-found'))
    await store.put(key, Buffer.from('x'), { contentType })
    await store.delete(key)
    await store.delete(key)
    expect(await store.head(key)).toBeNull()
  })

  test('listing finds every key below a prefix and no other', async () => {
    const root = `list-${randomBytes(4).toString('hex')}`
    const keys = ['a/b/c', 'a/bc', 'a/b/d/e', 'ab', 'b/a'].map((name) => `${root}/${name}`)
    for (const key of keys) await store.put(key, Buffer.from(key), { contentType })
    expect(await keysUnder(store, `${root}/`)).toEqual([...keys].sort())
    expect(await keysUnder(store, `${root}/a/b`)).toEqual([`${root}/a/b/c`, `${root}/a/b/d/e`, `${root}/a/bc`])
    expect(await keysUnder(store, `${root}/a/`)).toHaveLength(3)
    expect(await keysUnder(store, `${root}/nothing/`)).toEqual([])
  })

  test('everything below a folder goes, and nothing beside it', async () => {
    const root = `below-${randomBytes(4).toString('hex')}`
    const keys = ['a/b/c', 'a/b/d/e', 'a/b/f', 'a/b/g', 'a/bc', 'ab/c', 'a/c'].map((name) => `${root}/${name}`)
    for (const key of keys) await store.put(key, Buffer.from(key), { contentType })
    expect(await store.deleteBelow(`${root}/a/b/`)).toBe(4)
    expect(await keysUnder(store, `${root}/`)).toEqual(keys.slice(4).sort())
    expect(await store.deleteBelow(`${root}/a/b/`)).toBe(0)
    expect(await store.put(`${root}/a/b/c`, Buffer.from('again'), { contentType })).toMatchObject({ sizeBytes: 5 })
    expect(await store.deleteBelow(`${root}/`)).toBe(4)
    expect(await keysUnder(store, `${root}/`)).toEqual([])
  })

  test('what is stored while its folder goes is whole or gone', async () => {
    const root = `race-${randomBytes(4).toString('hex')}`
    const keys = Array.from({ length: 12 }, (_, index) => `${root}/a/b/${index}`)
    const puts = keys.map((key) => store.put(key, Buffer.from(key), { contentType }))
    await Promise.all([...puts, store.deleteBelow(`${root}/`)])
    const kept = await keysUnder(store, `${root}/`)
    for (const key of kept) expect((await bytesOf(await store.get(key))).toString()).toBe(key)
    expect(await store.deleteBelow(`${root}/`)).toBe(kept.length)
  })

  test.each(['', '/', 'a', 'a//', '../', 'a/../', '/a/'])('the folder %j is refused', async (folder) => {
    await expect(store.deleteBelow(folder)).rejects.toEqual(refused('object-key-invalid'))
  })

  test.each([
    '',
    '/',
    'a//b',
    '../x',
    'a/../../x',
    '/etc/passwd',
    'a\\b',
    '.hidden',
    'a/b\0',
    'ü',
    'a b',
    `${'x/'.repeat(13)}x`,
  ])('the key %j is refused by every operation', async (key) => {
    const code = refused('object-key-invalid')
    await expect((async () => store.put(key, Buffer.from('x'), { contentType }))()).rejects.toEqual(code)
    await expect((async () => store.get(key))()).rejects.toEqual(code)
    await expect((async () => store.head(key))()).rejects.toEqual(code)
    await expect((async () => store.delete(key))()).rejects.toEqual(code)
    await expect((async () => store.signedGetUrl(key, { expiresInSeconds: 60 }))()).rejects.toEqual(code)
  })

  describe('signed links', () => {
    const put = (key: string, options: Partial<Parameters<ObjectStore['signedPutUrl']>[1]> = {}) =>
      store.signedPutUrl(key, { expiresInSeconds: 60, contentType, maxBytes: 300_000, ...options })
    const send = (url: string, body: Buffer) => fetch(reach(url), { method: 'PUT', body: new Uint8Array(body) })
    const code = async (response: Response) => ((await response.json()) as { code: string }).code

    test('an upload link stores the bytes once', async () => {
      const key = newKey()
      const bytes = randomBytes(250_000)
      const url = await put(key, { sha256: sha256(bytes) })
      const response = await send(url, bytes)
      expect([response.status, await response.json()]).toEqual([201, { sizeBytes: 250_000, sha256: sha256(bytes) }])
      expect((await bytesOf(await store.get(key))).equals(bytes)).toBe(true)
      const again = await send(url, bytes)
      expect([again.status, await code(again)]).toEqual([409, 'object-exists'])
    })

    test('an upload link refuses other bytes, too many bytes and a body without length that grows too long', async () => {
      const key = newKey()
      const url = await put(key, { sha256: sha256(Buffer.from('right')), maxBytes: 100 })
      const wrong = await send(url, Buffer.from('wrong'))
      expect([wrong.status, await code(wrong)]).toEqual([422, 'object-rejected'])
      const long = await send(url, randomBytes(101))
      expect([long.status, await code(long)]).toEqual([413, 'request-too-large'])
      const body = Readable.toWeb(streamOf(randomBytes(5000), 50)) as ReadableStream
      const streamed: RequestInit & { duplex: 'half' } = { method: 'PUT', body, duplex: 'half' }
      const endless = await fetch(reach(url), streamed)
      expect([endless.status, await code(endless)]).toEqual([413, 'request-too-large'])
      expect(await store.head(key)).toBeNull()
      expect((await send(url, Buffer.from('right'))).status).toBe(201)
    })

    test('a download link gives the bytes, whole and in part, under the name chosen', async () => {
      const key = newKey()
      const bytes = randomBytes(150_000)
      await store.put(key, bytes, { contentType })
      const url = reach(await store.signedGetUrl(key, { expiresInSeconds: 60, fileName: 'größe "1".zip' }))
      const whole = await fetch(url)
      expect(whole.headers.get('content-disposition')).toBe(
        `attachment; filename="gr__e _1_.zip"; filename*=UTF-8''gr%C3%B6%C3%9Fe%20%221%22.zip`,
      )
      expect(whole.headers.get('content-type')).toBe(contentType)
      expect(Buffer.from(await whole.arrayBuffer()).equals(bytes)).toBe(true)
      const part = await fetch(url, { headers: { range: 'bytes=65530-65545' } })
      expect([part.status, part.headers.get('content-range')]).toEqual([206, 'bytes 65530-65545/150000'])
      expect(Buffer.from(await part.arrayBuffer()).equals(bytes.subarray(65_530, 65_546))).toBe(true)
    })

    test('a link that was changed or has expired is refused with 403', async () => {
      const key = newKey()
      await store.put(key, Buffer.from('x'), { contentType })
      const url = reach(await store.signedGetUrl(key, { expiresInSeconds: 60 }))
      const brief = reach(await store.signedGetUrl(key, { expiresInSeconds: 3 }))
      const changed = url.at(-2) === 'a' ? 'b' : 'a'
      expect((await fetch(url.slice(0, -2) + changed + url.at(-1))).status).toBe(403)
      await opened.letPass(4_500)
      expect((await fetch(brief)).status).toBe(403)
      expect((await fetch(url)).status).toBe(200)
    })
  })
}
