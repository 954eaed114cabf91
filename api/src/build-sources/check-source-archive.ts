import { buffer } from 'node:stream/consumers'
import type { ObjectStore } from '../objects/object-store.js'
import { Problem } from '../problems.js'

const LOCAL_HEADER = 0x04034b50
const DIRECTORY_HEADER = 0x02014b50
const END_RECORD = 0x06054b50
const END_RECORD_BYTES = 22
const MAX_COMMENT_BYTES = 0xffff
const MAX_DIRECTORY_BYTES = 32 * 1024 * 1024
const MAX_UNPACKED_BYTES = 4 * 1024 ** 3

type EndRecord = { at: number; entries: number; directoryAt: number; directoryBytes: number }

/**
 * Whether a stored object is a whole zip archive that can be unpacked as a project: its directory is read in two
 * ranges, so that the size of the archive does not matter. Symbolic links are let through; where they point is judged
 * when the archive is unpacked, inside the build container.
 */
export async function checkSourceArchive(objects: ObjectStore, key: string, sizeBytes: number): Promise<void> {
  const read = async (start: number, bytes: number) =>
    buffer((await objects.get(key, { range: { start, end: start + bytes - 1 } })).body)
  if (sizeBytes < END_RECORD_BYTES) throw refused('it is too short to be a zip archive')
  const magic = (await read(0, 4)).readUInt32LE(0)
  if (magic === END_RECORD) throw refused('the zip archive is empty')
  if (magic !== LOCAL_HEADER) throw refused('it is not a zip archive')
  const tailBytes = Math.min(sizeBytes, END_RECORD_BYTES + MAX_COMMENT_BYTES)
  const end = findEndRecord(await read(sizeBytes - tailBytes, tailBytes), sizeBytes - tailBytes)
  if (!end) throw refused('the zip archive is cut off: its end is missing')
  if (end.entries === 0xffff || end.directoryAt === 0xffffffff) throw refused('zip64 archives are not supported')
  if (end.entries === 0) throw refused('the zip archive is empty')
  if (end.directoryAt + end.directoryBytes !== end.at) throw refused('the zip archive is cut off or damaged')
  if (end.directoryBytes > MAX_DIRECTORY_BYTES) throw refused('the zip archive has too many entries')
  checkDirectory(await read(end.directoryAt, end.directoryBytes), end)
}

/** The last end record whose comment reaches exactly to the end of the file. */
function findEndRecord(tail: Buffer, offset: number): EndRecord | null {
  for (let at = tail.length - END_RECORD_BYTES; at >= 0; at -= 1) {
    if (tail.readUInt32LE(at) !== END_RECORD) continue
    if (at + END_RECORD_BYTES + tail.readUInt16LE(at + 20) !== tail.length) continue
    const split = tail.readUInt16LE(at + 4) !== 0 || tail.readUInt16LE(at + 8) !== tail.readUInt16LE(at + 10)
    if (split) throw refused('it is one piece of a split zip archive')
    return {
      at: offset + at,
      entries: tail.readUInt16LE(at + 10),
      directoryBytes: tail.readUInt32LE(at + 12),
      directoryAt: tail.readUInt32LE(at + 16),
    }
  }
  return null
}

function checkDirectory(directory: Buffer, end: EndRecord): void {
  let at = 0
  let unpacked = 0
  for (let entry = 0; entry < end.entries; entry += 1) {
    if (at + 46 > directory.length || directory.readUInt32LE(at) !== DIRECTORY_HEADER) {
      throw refused('the zip archive is cut off or damaged')
    }
    const nameBytes = directory.readUInt16LE(at + 28)
    const name = directory.toString('utf8', at + 46, at + 46 + nameBytes)
    if ((directory.readUInt16LE(at + 8) & 1) !== 0) throw refused('the zip archive is encrypted')
    if (directory.readUInt32LE(at + 42) + directory.readUInt32LE(at + 20) > end.directoryAt) {
      throw refused('the zip archive is cut off or damaged')
    }
    if (!isInside(name))
      throw refused(`an entry would be written outside the project (${JSON.stringify(name.slice(0, 80))})`)
    unpacked += directory.readUInt32LE(at + 24)
    at += 46 + nameBytes + directory.readUInt16LE(at + 30) + directory.readUInt16LE(at + 32)
  }
  if (at !== directory.length) throw refused('the zip archive is cut off or damaged')
  if (unpacked > MAX_UNPACKED_BYTES) throw refused(`it unpacks to ${unpacked} bytes; ${MAX_UNPACKED_BYTES} are allowed`)
}

function isInside(name: string): boolean {
  return name !== '' && !/^[\\/]|^[A-Za-z]:|\0/.test(name) && !name.split(/[\\/]/).includes('..')
}

function refused(why: string): Problem {
  return new Problem('build-source-invalid', `The source cannot be used: ${why}. Upload the project as a zip archive.`)
}
