import { randomBytes } from 'node:crypto'
import { deflateRawSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import {
  ArchiveError,
  type ArchiveErrorCode,
  type ArchiveLimits,
  openArchive,
  validateArchive,
} from '../src/archive/index.js'
import { archiveCorpus, page } from './archive-corpus.js'
import { makeZip } from './make-zip.js'

async function refusal(zip: Uint8Array, limits: Partial<ArchiveLimits> = {}): Promise<ArchiveErrorCode | null> {
  try {
    await validateArchive(zip, limits)
    return null
  } catch (error) {
    if (error instanceof ArchiveError) return error.code
    throw error
  }
}

describe('archive rules', () => {
  test.each(archiveCorpus)('%s', async (_what, entries, expected, shape = {}, limits = {}) => {
    expect(await refusal(makeZip([page, ...entries], shape), limits)).toBe(expected)
  })

  test('every cut of an archive is refused', async () => {
    const whole = makeZip([page, { name: 'a/b.js', content: 'x' }])
    for (let length = 0; length < whole.length; length++) {
      expect(await refusal(whole.subarray(0, length)), `length ${length}`).not.toBeNull()
    }
    expect(await refusal(whole)).toBeNull()
  })

  test('every flipped bit is refused or changes nothing that is read', async () => {
    const whole = makeZip([page, { name: 'a/b.js', content: 'some script', stored: true }])
    const honest = JSON.stringify(await validateArchive(whole))
    let refused = 0
    for (let bit = 0; bit < whole.length * 8; bit++) {
      const flipped = whole.slice()
      flipped[bit >> 3]! ^= 1 << (bit & 7)
      const code = await refusal(flipped)
      if (code !== null) refused++
      else expect(JSON.stringify(await validateArchive(flipped)), `bit ${bit}`).toBe(honest)
    }
    expect(refused).toBeGreaterThan(whole.length * 5)
  })

  test('an archive without files, and no archive at all, are refused', async () => {
    expect(await refusal(makeZip([]))).toBe('ARCHIVE_EMPTY')
    expect(await refusal(makeZip([{ name: 'a/' }]))).toBe('ARCHIVE_EMPTY')
    expect(await refusal(new Uint8Array())).toBe('ARCHIVE_NOT_ZIP')
    expect(await refusal(randomBytes(1000))).toBe('ARCHIVE_NOT_ZIP')
  })

  test('bombs are refused fast and in little memory', async () => {
    const zeros50 = deflateRawSync(new Uint8Array(50 * 1024 * 1024))
    const bombs: [Uint8Array, ArchiveErrorCode][] = [
      [makeZip([{ name: 'a', packed: zeros50, size: 300 * 1024 * 1024, stored: false }]), 'ARCHIVE_FILE_TOO_LARGE'],
      [makeZip([{ name: 'a', packed: zeros50, size: 50 * 1024 * 1024, stored: false }]), 'ARCHIVE_RATIO'],
      [makeZip([{ name: 'a', packed: zeros50, size: 10, stored: false }]), 'ARCHIVE_SIZE_MISMATCH'],
      [makeZip(Array.from({ length: 60_000 }, (_, index) => ({ name: `f${index}` }))), 'ARCHIVE_TOO_MANY_ENTRIES'],
    ]
    for (const [bomb, code] of bombs) {
      const before = process.memoryUsage().rss
      const started = performance.now()
      expect(await refusal(bomb)).toBe(code)
      expect(performance.now() - started).toBeLessThan(60_000)
      expect(process.memoryUsage().rss - before).toBeLessThan(128 * 1024 * 1024)
    }
  })

  test('a refusal names the entry and fits on one line', () => {
    try {
      openArchive(makeZip([page, { name: 'a\u001b[2J/../b', content: 'x' }]))
      expect.unreachable()
    } catch (error) {
      expect(error).toBeInstanceOf(ArchiveError)
      expect((error as ArchiveError).path).toBe('a\u001b[2J/../b')
      expect((error as ArchiveError).message).toMatch(/^[\x20-\x7e]+$/)
    }
  })
})
