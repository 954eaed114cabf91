import { inflateRaw } from '../../archive/inflate-raw.js'
import type { FileDigest } from '../../archive/sha256.js'
import { type ArchivePlace, readDirectory } from '../../archive/read-directory.js'
import type { Candidate } from '../check-update.js'
import { inOrder } from '../in-order.js'
import { LiveUpdateError } from '../live-update-error.js'
import type { Session } from '../session.js'
import { streamCodec } from '../stream-codec.js'
import { countProgress, download } from './download.js'
import type { FetchFiles } from './files-source.js'

/** Bytes between two wanted files that are cheaper to transfer than to ask around. */
const gapMaximum = 4096
const requestsMaximum = 64
/** For each file in the directory of an archive: its header and some extra fields. */
const directoryEntryBytes = 46 + 40

interface Range {
  start: number
  end: number
  places: ArchivePlace[]
}

function isTooMuch(): LiveUpdateError {
  return new LiveUpdateError('SERVER_REFUSED', 'The changed files cannot be picked out of the archive.')
}

/** Neighbours are asked for together. */
function groupRanges(places: readonly ArchivePlace[]): Range[] {
  const ranges: Range[] = []
  for (const place of places.toSorted((a, b) => a.start - b.start)) {
    const last = ranges.at(-1)
    if (last && place.start - last.end <= gapMaximum) {
      last.end = Math.max(last.end, place.end)
      last.places.push(place)
    } else ranges.push({ start: place.start, end: place.end, places: [place] })
  }
  return ranges
}

/** The content of an entry, from bytes that begin with its local header. It may be anything: the caller hashes it. */
async function unpack(session: Session, bytes: Uint8Array, place: ArchivePlace, size: number): Promise<Uint8Array> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.length < 30) throw isTooMuch()
  const from = 30 + view.getUint16(26, true) + view.getUint16(28, true)
  const packed = bytes.subarray(from, from + place.packedSize)
  if (place.method === 0) return packed
  const codec = session.world.codec ?? streamCodec
  return (await codec.inflateRaw(packed, size).catch(() => null)) ?? inflateRaw(packed, size)
}

/**
 * Files of a release out of the middle of its archive, by Range requests: any server and any CDN can do that. Nothing in
 * the archive's directory is believed; it only says where to look.
 */
export function fetchByRange(session: Session, candidate: Candidate, all: readonly FileDigest[]): FetchFiles {
  const { archive } = candidate.verified?.release ?? { archive: { size: 0 } }

  async function fetchRange(start: number, end: number, onProgress?: (bytes: number) => void): Promise<Uint8Array> {
    const { bytes } = await download(session, {
      url: candidate.latest.url,
      headers: { range: `bytes=${start}-${end - 1}`, 'accept-encoding': 'identity' },
      maximumBytes: end - start,
      status: 206,
      ...(onProgress ? { onProgress } : {}),
    })
    if (bytes.length !== end - start) throw isTooMuch()
    return bytes
  }

  async function findPlaces(): Promise<Map<string, ArchivePlace>> {
    const names = all.reduce((sum, { path }) => sum + new TextEncoder().encode(path).length, 0)
    let start = Math.max(0, archive.size - 22 - names - all.length * directoryEntryBytes)
    let tail = await fetchRange(start, archive.size)
    let found = readDirectory(tail, archive.size)
    if (typeof found === 'number') {
      if (archive.size - found > 4 * (archive.size - start)) throw isTooMuch()
      start = found
      tail = await fetchRange(start, archive.size)
      found = readDirectory(tail, archive.size)
    }
    if (found === null || typeof found === 'number') throw isTooMuch()
    return found
  }

  return async (files, take) => {
    const places = await findPlaces()
    const sizes = new Map(files.map(({ path, size }) => [path, size]))
    const ranges = groupRanges(
      files.map(({ path }) => {
        const place = places.get(path)
        if (!place) throw isTooMuch()
        return place
      }),
    )
    const bytes = ranges.reduce((sum, { start, end }) => sum + end - start, 0)
    if (ranges.length > requestsMaximum || bytes >= archive.size) throw isTooMuch()
    const progress = countProgress(session, candidate, bytes)
    await inOrder(ranges, async (range) => {
      const content = await fetchRange(range.start, range.end, progress())
      for (const place of range.places) {
        const entry = content.subarray(place.start - range.start, place.end - range.start)
        await take(place.path, await unpack(session, entry, place, sizes.get(place.path) ?? 0))
      }
    })
  }
}
