import { randomBytes } from 'node:crypto'
import { constants, deflateRawSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { inflateRaw } from '../src/archive/inflate-raw.js'
import { type Archive, ArchiveError, openArchive } from '../src/archive/index.js'
import { zlibCodec } from '../src/live-update/node/zlib-codec.js'
import { streamCodec } from '../src/live-update/stream-codec.js'
import { archiveCorpus, page } from './archive-corpus.js'
import { makeZip } from './make-zip.js'

type File = Archive['files'][number]

/** What every file of an archive holds, or the code that refuses it. */
async function judge(zip: Uint8Array, limits: object, read: (file: File) => unknown): Promise<unknown> {
  try {
    const contents: string[] = []
    for (const file of openArchive(zip, limits).files)
      contents.push(Buffer.from((await read(file)) as Uint8Array).toString('base64'))
    return contents
  } catch (error) {
    if (error instanceof ArchiveError) return error.code
    throw error
  }
}

const own = (packed: Uint8Array, size: number): Uint8Array | null => {
  try {
    return inflateRaw(packed, size)
  } catch {
    return null
  }
}

/** Node's decompressor takes bytes behind the end of a stream, so here it always gives up; in a browser it does not. */
const lenient = streamCodec

describe.each([
  ['zlib', zlibCodec, true],
  ['the web decompressor', lenient, false],
] as const)("%s gives the same verdicts as the package's own code", (_name, codec, reads) => {
  test('on every archive of the corpus', async () => {
    let accepted = 0
    for (const [what, entries, expected, shape, limits = {}] of archiveCorpus) {
      const zip = makeZip([page, ...entries], shape)
      const verdict = await judge(zip, limits, (file) => file.readWith(codec))
      expect(verdict, what).toEqual(await judge(zip, limits, (file) => file.read()))
      if (expected === null) accepted++
      else expect(verdict, what).toBe(expected)
    }
    expect(accepted).toBeGreaterThan(5)
  })

  const contents = [Buffer.from('<p>hello</p>'.repeat(40)), randomBytes(300), Buffer.alloc(2000), Buffer.from('x')]
  const ways = [{}, { strategy: constants.Z_FIXED }, { level: 0 }, { strategy: constants.Z_HUFFMAN_ONLY }]

  test.runIf(reads)('on honest streams, which it reads itself', async () => {
    for (const content of contents) {
      for (const way of ways) {
        const unpacked = await codec.inflateRaw(deflateRawSync(content, way), content.length)
        expect(Buffer.from(unpacked ?? []).equals(content)).toBe(true)
      }
    }
  })

  test('on streams that lie about their end or their size', async () => {
    for (const content of contents) {
      const packed = deflateRawSync(content)
      expect(await codec.inflateRaw(Buffer.concat([packed, Buffer.from([0])]), content.length)).toBeNull()
      expect(await codec.inflateRaw(packed.subarray(0, -1), content.length)).toBeNull()
      expect(await codec.inflateRaw(packed, content.length - 1)).toBeNull()
      expect(await codec.inflateRaw(packed, content.length + 1)).toBeNull()
    }
  })

  test('on streams with flipped bits', async () => {
    let [agreed, gaveUp] = [0, 0]
    for (const content of contents) {
      for (const way of ways) {
        const packed = deflateRawSync(content, way)
        const bits = Math.min(packed.length * 8, 240)
        for (let sample = 0; sample < bits; sample++) {
          const bit = Math.floor((sample * packed.length * 8) / bits)
          const flipped = Uint8Array.from(packed)
          flipped[bit >> 3]! ^= 1 << (bit & 7)
          const fast = await codec.inflateRaw(flipped, content.length).catch(() => null)
          if (fast === null) gaveUp++
          else {
            agreed++
            const slow = own(flipped, content.length)
            expect(slow !== null && Buffer.compare(slow, fast) === 0, `bit ${bit}`).toBe(true)
          }
        }
      }
    }
    expect(agreed > 100).toBe(reads)
    expect(gaveUp).toBeGreaterThan(100)
  })
})

test('a stream that unpacks to far more than it says is left after its declared size', async () => {
  const bomb = deflateRawSync(Buffer.alloc(200 * 1024 * 1024))
  const before = process.memoryUsage().arrayBuffers
  for (const codec of [zlibCodec, streamCodec]) expect(await codec.inflateRaw(bomb, 1000)).toBeNull()
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(100 * 1024 * 1024)
})
