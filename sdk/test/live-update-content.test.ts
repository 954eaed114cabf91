import { createHash, randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { join } from 'node:path'
import { deflateRawSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { validateArchive, writeArchive } from '../src/archive/index.js'
import { type LiveUpdate, type LiveUpdateEvent, nodeDisk } from '../src/live-update/node/index.js'
import { makeZip } from './make-zip.js'
import { releaseOf, signBytes } from './update-fixture.js'
import { compat, useLab } from './update-lab.js'

const lab = useLab()
const { open } = lab
const shared = Array.from({ length: 20 }, (_, index) => [`assets/${index}.bin`, randomBytes(5000)] as const)

/** An app of 100 kB; a version changes its page and one of its files. */
function filesOf(version: string): Map<string, Buffer> {
  return new Map([
    ...shared,
    ['index.html', Buffer.from(`<p>${version}</p>`)],
    ['assets/app.js', Buffer.from(`show("${version}")`)],
  ])
}
const zipOf = (files: Map<string, Buffer>): Uint8Array<ArrayBuffer> =>
  writeArchive(
    [...files].map(([path, content]) => ({ path, content })),
    deflateRawSync,
  )

/** Counts what downloads cost, and answers ranges unless told otherwise. */
class Served {
  bytes = 0
  requests: { range: string | undefined; ifRange: string | undefined; status: number }[] = []
  ranges = true
  etag: string | null = '"one"'
  /** The connection breaks after this many bytes of an answer. */
  breakAfter = Infinity
  /** The bytes that are sent instead of a range. */
  spoil: ((bytes: Uint8Array) => Uint8Array) | null = null

  answer(content: Uint8Array, headers: Record<string, string> = {}) {
    return (request: IncomingMessage, response: ServerResponse): void => {
      const { range, 'if-range': ifRange } = request.headers
      const match = /^bytes=(\d+)-(\d*)$/.exec(range ?? '')
      const partial = this.ranges && match !== null && (ifRange === undefined || ifRange === this.etag)
      const [start, end] = partial
        ? [Number(match[1]), match[2] === '' ? content.length : Number(match[2]) + 1]
        : [0, content.length]
      let body = content.subarray(start, end)
      if (partial && this.spoil) body = this.spoil(body)
      this.requests.push({ range, ifRange: ifRange as string | undefined, status: partial ? 206 : 200 })
      response.writeHead(partial ? 206 : 200, {
        'content-length': body.length,
        ...(partial ? { 'content-range': `bytes ${start}-${end - 1}/${content.length}` } : {}),
        ...(this.etag === null ? {} : { etag: this.etag }),
        ...headers,
      })
      const sent = body.subarray(0, this.breakAfter)
      this.bytes += sent.length
      if (sent.length === body.length) response.end(sent)
      else response.write(sent, () => setTimeout(() => response.destroy(), 20))
    }
  }
}

async function offer(served: Served, files: Map<string, Buffer>, sequence: number, change = {}): Promise<Uint8Array> {
  const zip = zipOf(files)
  const { release, channelStatement } = await releaseOf(zip, sequence, change)
  lab.server.publish(`bundle-${sequence}`, zip, { release, channelStatement })
  lab.server.download = served.answer(zip)
  return zip
}

async function follow(updates: LiveUpdate, run: () => Promise<unknown>): Promise<LiveUpdateEvent[]> {
  const events: LiveUpdateEvent[] = []
  const stop = updates.subscribe((event) => events.push(event))
  await run()
  stop()
  return events.filter(({ type }) => type === 'acquired' || type === 'fell-back')
}

async function run(updates: LiveUpdate): Promise<string> {
  const launch = await updates.launch()
  await updates.ready(launch.nonce)
  return launch.directory
}

/** The directory holds exactly these files. */
function expectFiles(directory: string, files: Map<string, Buffer>): void {
  for (const [path, content] of files) expect(readFileSync(join(directory, path)).equals(content), path).toBe(true)
}

describe('an update of a few files', () => {
  async function installed(served: Served): Promise<LiveUpdate> {
    await offer(served, filesOf('one'), 1)
    const updates = await open()
    await updates.sync()
    await run(updates)
    served.bytes = 0
    served.requests = []
    return updates
  }

  test('transfers those files out of the middle of the archive, and is whole', async () => {
    const served = new Served()
    const updates = await installed(served)
    const zip = await offer(served, filesOf('two'), 2)
    expect(await follow(updates, () => updates.sync())).toMatchObject([{ type: 'acquired', source: 'files' }])
    expect(served.requests.every(({ status }) => status === 206)).toBe(true)
    expect(served.bytes).toBeLessThan(zip.length / 20)
    expectFiles(await run(updates), filesOf('two'))
  })

  test('of a content that the device runs already transfers nothing', async () => {
    const served = new Served()
    const updates = await installed(served)
    await offer(served, filesOf('one'), 2, { release: { restores: 'bundle-1' } })
    expect(await follow(updates, () => updates.sync())).toMatchObject([{ type: 'acquired', source: 'files' }])
    expect(served.requests).toEqual([])
    expectFiles(await run(updates), filesOf('one'))
  })

  test('files of the built-in bundle are reused', async () => {
    const served = new Served()
    for (const [path, content] of shared) writeFileSync(join(lab.device.builtIn, path.slice(7)), content)
    const zip = await offer(served, filesOf('one'), 1)
    const updates = await open()
    expect(await follow(updates, () => updates.sync())).toMatchObject([{ type: 'acquired', source: 'files' }])
    expect(served.bytes).toBeLessThan(zip.length / 20)
    expectFiles(await run(updates), filesOf('one'))
  })

  test.each([
    ['a server without ranges', (served: Served) => (served.ranges = false)],
    [
      'ranges of other bytes',
      (served: Served) => (served.spoil = (bytes) => Uint8Array.from(bytes, (byte) => byte ^ 1)),
    ],
    ['ranges that are too short', (served: Served) => (served.spoil = (bytes) => bytes.subarray(1))],
    ['ranges of nothing', (served: Served) => (served.spoil = () => new Uint8Array())],
    [
      'one byte of the changed files',
      (served: Served) => {
        let count = 0
        served.spoil = (bytes) => (++count === 1 ? bytes : Uint8Array.from(bytes, (b, at) => (at === 45 ? b ^ 1 : b)))
      },
    ],
  ])('with %s falls back to the whole archive', async (_what, arrange) => {
    const served = new Served()
    const updates = await installed(served)
    await offer(served, filesOf('two'), 2)
    arrange(served)
    const events = await follow(updates, () => updates.sync())
    expect(events).toMatchObject([
      { type: 'fell-back', source: 'files' },
      { type: 'acquired', source: 'archive' },
    ])
    expectFiles(await run(updates), filesOf('two'))
  })

  test('an installed file that changed is not reused', async () => {
    const served = new Served()
    const updates = await installed(served)
    const { directory } = await updates.current()
    writeFileSync(join(directory, 'assets/7.bin'), randomBytes(5000))
    await offer(served, filesOf('two'), 2)
    expect(await follow(updates, () => updates.sync())).toMatchObject([{ type: 'acquired', source: 'files' }])
    expectFiles(await run(updates), filesOf('two'))
  })

  test('an installed file that changes while it is reused is fetched instead', async () => {
    const served = new Served()
    await installed(served)
    let reads = 0
    const readFile: typeof nodeDisk.readFile = async (path) => {
      const content = await nodeDisk.readFile(path)
      // Listed as it was, and another one when it is taken.
      return path.endsWith('/7.bin') && path.includes('/bundles/') && ++reads === 2 ? randomBytes(5000) : content
    }
    await offer(served, filesOf('two'), 2)
    const updates = await open({ world: { disk: { ...nodeDisk, readFile } } })
    expect(await follow(updates, () => updates.sync())).toMatchObject([{ type: 'acquired', source: 'files' }])
    expect(reads).toBe(2)
    expectFiles(await run(await open()), filesOf('two'))
  })

  test('a signed list with a name that no archive may have is refused before anything is fetched', async () => {
    const served = new Served()
    const updates = await installed(served)
    const files = [{ path: '../x', sha256: 'a'.repeat(64), size: 1 }]
    await offer(served, filesOf('two'), 2, { release: { files } })
    await lab.expectRefused(updates, 'ARCHIVE_NAME_UNSAFE', 'one')
    expect(served.requests).toEqual([])
  })
})

describe('a bundle of single files', () => {
  type Item = { href: string; checksum: string; sizeInBytes: number }
  const requested: string[] = []

  function publish(
    version: string,
    change: { items?: (items: Item[]) => unknown; files?: (files: Map<string, Buffer>) => void; sign?: boolean } = {},
  ): Map<string, Buffer> {
    const files = filesOf(version)
    const items = [...files].map(([href, content]) => ({
      href,
      checksum: createHash('sha256').update(content).digest('hex'),
      sizeInBytes: content.length,
    }))
    const manifest = Buffer.from(JSON.stringify(change.items?.(items) ?? items))
    const served = new Map(files)
    change.files?.(served)
    requested.length = 0
    lab.server.publish(`id-${version}`, new Uint8Array(), { artifactType: 'manifest' })
    lab.server.download = (request, response) => {
      const href = new URL(request.url ?? '', 'http://x').searchParams.get('href') ?? ''
      requested.push(href)
      const isManifest = href === 'capawesome-live-update-manifest.json'
      const content = isManifest ? manifest : served.get(href)
      if (!content) response.writeHead(404, { 'x-checksum': '0' }).end('{}')
      else {
        const headers = isManifest && change.sign === false ? {} : { 'x-signature': signBytes(content) }
        response.writeHead(200, headers).end(content)
      }
    }
    return files
  }

  test('is taken file by file, and its next version only where it differs', async () => {
    const first = publish('one')
    const updates = await open(compat)
    expect((await updates.sync()).status).toBe('staged')
    expectFiles(await run(updates), first)
    expect(requested).toHaveLength(first.size + 1)
    const second = publish('two')
    expect((await updates.sync()).status).toBe('staged')
    expect(requested.toSorted()).toEqual(['assets/app.js', 'capawesome-live-update-manifest.json', 'index.html'])
    expectFiles(await run(updates), second)
    publish('one')
    await lab.expectRefused(updates, 'DOWNGRADE', 'two')
  })

  const item = (items: Item[], change: Partial<Item>): Item[] => [...items.slice(1), { ...items[0]!, ...change }]
  test.each([
    ['an unsigned manifest, though every file is signed', { sign: false }, 'SIGNATURE_MISSING'],
    ['a manifest that is no list', { items: () => ({}) }, 'ANSWER_MALFORMED'],
    ['a checksum that is none', { items: (list: Item[]) => item(list, { checksum: 'x' }) }, 'ANSWER_MALFORMED'],
    ['a negative size', { items: (list: Item[]) => item(list, { sizeInBytes: -1 }) }, 'ANSWER_MALFORMED'],
    ['a path that leaves the folder', { items: (list: Item[]) => item(list, { href: '../x' }) }, 'ARCHIVE_NAME_UNSAFE'],
    ['no page', { items: (list: Item[]) => list.filter(({ href }) => href !== 'index.html') }, 'INDEX_MISSING'],
    [
      'two names for one file',
      { items: (list: Item[]) => [...list, { ...list[0]!, href: 'INDEX.html' }] },
      'ARCHIVE_NAME_COLLISION',
    ],
    [
      'a file that is too large',
      { items: (list: Item[]) => item(list, { sizeInBytes: 60 * 1024 * 1024 }) },
      'ARCHIVE_FILE_TOO_LARGE',
    ],
    [
      'another signed file of the same size in its place',
      { files: (files: Map<string, Buffer>) => files.set('assets/1.bin', files.get('assets/2.bin')!) },
      'FILE_MISMATCH',
    ],
    [
      'a file that is longer',
      { files: (files: Map<string, Buffer>) => files.set('assets/1.bin', randomBytes(5001)) },
      'SIZE_MISMATCH',
    ],
    [
      'a file that is gone',
      { files: (files: Map<string, Buffer>) => void files.delete('assets/1.bin') },
      'SERVER_REFUSED',
    ],
  ])('with %s is refused', async (_what, change, code) => {
    publish('one', change)
    await lab.expectRefused(await open(compat), code, 'built-in')
  })

  test('is taken in the release profile too: the statement lists the files', async () => {
    const files = publish('one')
    const zip = zipOf(files)
    const { release, channelStatement } = await releaseOf(zip, 1)
    lab.server.latest = (_request, response) => {
      const url = `${lab.server.url}/files`
      response.end(JSON.stringify({ artifactType: 'manifest', bundleId: 'id', url, release, channelStatement }))
    }
    const updates = await open()
    expect((await updates.sync()).status).toBe('staged')
    expect(requested.toSorted()).toEqual([...files.keys()].toSorted())
    expectFiles(await run(updates), files)
  })
})

describe('a download that breaks off', () => {
  const large = new Map([
    ['index.html', Buffer.from('<p>one</p>')],
    ['assets/app.js', Buffer.from('show("one")')],
    ['big.bin', randomBytes(400_000)],
  ])

  test('is continued where it ended, and the whole is verified', async () => {
    const served = new Served()
    const zip = await offer(served, large, 1)
    served.breakAfter = 150_000
    const updates = await open()
    expect((await updates.sync()).status).toBe('staged')
    expect(served.requests).toMatchObject([
      { range: undefined, status: 200 },
      { range: 'bytes=150000-', ifRange: '"one"', status: 206 },
      { range: 'bytes=300000-', ifRange: '"one"', status: 206 },
    ])
    expect(served.bytes).toBe(zip.length)
    expectFiles(await run(updates), large)
  })

  test('is not continued without a strong validator', async () => {
    for (const etag of [null, 'W/"one"', 'one']) {
      const served = new Served()
      await offer(served, large, 1)
      ;[served.breakAfter, served.etag] = [150_000, etag]
      await lab.expectRefused(await open(), 'NETWORK', 'built-in')
      expect(served.requests).toHaveLength(1)
    }
  })

  test('begins anew when the server has other bytes by now', async () => {
    const served = new Served()
    const zip = await offer(served, large, 1)
    const answer = served.answer(zip)
    served.breakAfter = 150_000
    lab.server.download = (request, response) => {
      answer(request, response)
      ;[served.etag, served.breakAfter] = ['"two"', Infinity]
    }
    const updates = await open()
    expect((await updates.sync()).status).toBe('staged')
    expect(served.requests.map(({ status }) => status)).toEqual([200, 200])
    expectFiles(await run(updates), large)
  })

  test('is continued by the next start of the program, and what was kept is not trusted', async () => {
    for (const spoiled of [false, true]) {
      lab.server.requests.length = 0
      const served = new Served()
      const files = new Map([...large, ['big.bin', randomBytes(400_000)] as const])
      const zip = await offer(served, files, spoiled ? 2 : 1)
      // Dead after the first answer: the program is gone before it can go on.
      lab.server.download = (request, response) => {
        served.breakAfter = served.requests.length === 0 ? 250_000 : 0
        served.answer(zip)(request, response)
      }
      await expect((await open()).sync()).rejects.toMatchObject({ code: 'NETWORK' })
      if (spoiled) {
        const piece = join(lab.device.directory, 'pieces/1')
        const bytes = readFileSync(piece)
        bytes[1000]! ^= 1
        writeFileSync(piece, bytes)
      }
      served.breakAfter = Infinity
      served.requests = []
      lab.server.download = served.answer(zip)
      const updates = await open()
      expect((await updates.sync()).status).toBe('staged')
      expect(served.requests).toMatchObject([
        { range: 'bytes=250000-', status: 206 },
        ...(spoiled ? [{ range: undefined, status: 200 }] : []),
      ])
      expectFiles(await run(updates), files)
      expect(() => readFileSync(join(lab.device.directory, 'pieces/0'))).toThrow()
    }
  })

  test('is asked for whole where ranges never come through', async () => {
    const served = new Served()
    const zip = await offer(served, large, 1)
    const answer = served.answer(zip)
    served.breakAfter = 150_000
    lab.server.download = (request, response) => {
      if (request.headers.range !== undefined) response.destroy()
      else {
        answer(request, response)
        served.breakAfter = Infinity
      }
    }
    const updates = await open()
    expect((await updates.sync()).status).toBe('staged')
    expect(served.requests.map(({ status }) => status)).toEqual([200, 200])
    expectFiles(await run(updates), large)
  })

  test('is kept while the server is away, and not once it is refused', async () => {
    const served = new Served()
    const zip = await offer(served, large, 1)
    const piece = join(lab.device.directory, 'pieces/1')
    lab.server.download = (request, response) => {
      served.breakAfter = served.requests.length === 0 ? 250_000 : 0
      served.answer(zip)(request, response)
    }
    await expect((await open()).sync()).rejects.toMatchObject({ code: 'NETWORK' })
    await expect((await open()).sync()).rejects.toMatchObject({ code: 'NETWORK' })
    expect(readFileSync(piece).length).toBe(250_000)
    lab.server.download = (_request, response) => void response.writeHead(404).end()
    await expect((await open()).sync()).rejects.toMatchObject({ code: 'SERVER_REFUSED' })
    expect(() => readFileSync(piece)).toThrow()
  })

  test('in the compat profile is continued and verified in the same way', async () => {
    const served = new Served()
    const zip = zipOf(large)
    lab.server.publish('id', zip)
    lab.server.download = served.answer(zip, { 'x-signature': signBytes(zip) })
    served.breakAfter = 250_000
    const updates = await open(compat)
    expect((await updates.sync()).status).toBe('staged')
    expect(served.requests.map(({ status }) => status)).toEqual([200, 206])
    expectFiles(await run(updates), large)
  })
})

test('an archive whose directory lies about its entries is no way to other content', async () => {
  const served = new Served()
  await offer(served, filesOf('one'), 1)
  const updates = await open()
  await updates.sync()
  await run(updates)
  const honest = filesOf('two')
  const zip = zipOf(honest)
  const lying = makeZip([...honest].map(([name, content]) => ({ name, content, offset: 0 })))
  const { release, channelStatement } = await releaseOf(zip, 2, {
    release: { files: await validateArchive(zip), archive: { sha256: 'a'.repeat(64), size: lying.length } },
  })
  lab.server.publish('bundle-2', lying, { release, channelStatement })
  lab.server.download = served.answer(lying)
  await lab.expectRefused(updates, 'HASH_MISMATCH', 'one')
})
