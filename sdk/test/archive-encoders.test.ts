import { createHash, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { constants, deflateRawSync, inflateRawSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { inflateRaw } from '../src/archive/inflate-raw.js'
import { crc32 } from '../src/archive/crc32.js'
import { ArchiveError, sha256Hex, validateArchive, writeArchive } from '../src/archive/index.js'

const vector = (name: string): Uint8Array => readFileSync(new URL(`../vectors/archives/${name}`, import.meta.url))

describe('archives that ordinary tools write', () => {
  test.each([
    ['official-cli.zip', 'big.txt index.html sub/deep/é a.js sub/empty.txt sub/r.bin'],
    ['info-zip.zip', 'big.txt index.html sub/empty.txt sub/r.bin'],
    ['info-zip-streamed.zip', 'big.txt index.html sub/r.bin'],
    ['python.zip', 'big.txt index.html sub/deep/é a.js sub/empty.txt sub/r.bin'],
  ])('%s is accepted', async (name, paths) => {
    const files = await validateArchive(vector(name))
    expect(files.map((file) => file.path).join(' ')).toBe(paths)
    expect(files.find((file) => file.path === 'index.html')).toEqual({
      path: 'index.html',
      sha256: await sha256Hex(Buffer.from('<h1>hi</h1>\n')),
      size: 12,
    })
  })
})

test('a tool that wrote a name beyond ASCII without saying in which encoding is refused', async () => {
  await expect(validateArchive(vector('info-zip-unmarked.zip'))).rejects.toMatchObject({
    code: 'ARCHIVE_NAME_ENCODING',
  })
})

describe('the writer', () => {
  const files = [
    { path: 'b/é.js', content: Buffer.from('let x = 1\n'.repeat(100)) },
    { path: 'index.html', content: Buffer.from('<p>') },
    { path: 'a.bin', content: randomBytes(1000) },
    { path: 'empty', content: new Uint8Array() },
  ]

  test.each([
    ['stored', null],
    ['deflated', deflateRawSync],
  ] as const)(
    'gives the same %s bytes for the same files in any order, and the reader accepts them',
    async (_what, deflate) => {
      const bytes = writeArchive(files, deflate)
      expect(writeArchive(files.toReversed(), deflate)).toEqual(bytes)
      const expected = await Promise.all(
        files.map(async ({ path, content }) => ({ path, sha256: await sha256Hex(content), size: content.length })),
      )
      expect(await validateArchive(bytes)).toEqual(expected.toSorted((a, b) => (a.path < b.path ? -1 : 1)))
    },
  )

  test('refuses a name that no reader accepts', () => {
    expect(() => writeArchive([{ path: '../x', content: new Uint8Array() }])).toThrow(ArchiveError)
    expect(() => writeArchive([files[1]!, { path: 'INDEX.html', content: new Uint8Array() }])).toThrow(ArchiveError)
  })
})

describe('inflate against zlib', () => {
  const words = Buffer.from('the quick brown fox jumps over the lazy dog; const x = () => {}\n')
  /** The same bytes in every run. */
  const noise = (length: number, seed: number): Buffer =>
    createHash('shake256', { outputLength: length }).update(String(seed)).digest()
  const content = (seed: number): Buffer => {
    const random = noise(1 + ((seed * 977) % 5000), seed)
    const parts = Array.from(random, (byte) =>
      byte < 200 ? words.subarray(byte % 40, (byte % 40) + (byte % 17)) : random.subarray(0, byte),
    )
    return Buffer.concat(parts)
  }

  test.each(['fixed', 'default', 'huffman', 'rle', 'stored'] as const)('agrees on %s streams', (kind) => {
    const strategy = {
      fixed: constants.Z_FIXED,
      default: 0,
      huffman: constants.Z_HUFFMAN_ONLY,
      rle: constants.Z_RLE,
      stored: 0,
    }[kind]
    for (let seed = 0; seed < 40; seed++) {
      const plain = content(seed)
      const packed = deflateRawSync(plain, { level: kind === 'stored' ? 0 : (seed % 9) + 1, strategy })
      expect(Buffer.compare(inflateRaw(packed, plain.length), plain)).toBe(0)
    }
    expect(inflateRaw(deflateRawSync(Buffer.alloc(0)), 0).length).toBe(0)
  })

  test('agrees on damaged streams: both refuse, or both give the same bytes', () => {
    let refused = 0
    for (let seed = 0; seed < 400; seed++) {
      const plain = content(seed)
      const packed = deflateRawSync(plain)
      const at = noise(4, seed).readUInt32LE() % Math.min(packed.length, 200)
      packed[at] = packed[at]! ^ (1 << (seed & 7))
      let theirs: Buffer | null = null
      try {
        const result = inflateRawSync(packed, { info: true, maxOutputLength: 10_000_000 }) as unknown as {
          buffer: Buffer
          engine: { bytesWritten: number }
        }
        if (result.engine.bytesWritten === packed.length) theirs = result.buffer
      } catch {
        theirs = null
      }
      if (theirs === null) {
        refused++
        expect(() => inflateRaw(packed, plain.length), `seed ${seed} at ${at}`).toThrow(ArchiveError)
      } else {
        expect(Buffer.compare(inflateRaw(packed, theirs.length), theirs)).toBe(0)
      }
    }
    expect(refused).toBeGreaterThan(20)
  })

  test('CRC-32 of the check string is the published value', () => {
    expect(crc32(Buffer.from('123456789'))).toBe(0xcbf43926)
  })
})
