import { ArchiveError } from './archive-error.js'
import type { ArchiveLimits } from './archive-limits.js'

export const endSignature = 0x06054b50
export const endRecordBytes = 22

/** Where the central directory starts, how many entries it has, and where the end record starts. */
export interface EndRecord {
  entries: number
  centralOffset: number
  endOffset: number
}

/**
 * Reads the one end record, which must be the last 22 bytes of the file.
 *
 * @throws {ArchiveError}
 */
export function readEndRecord(bytes: Uint8Array, view: DataView, limits: ArchiveLimits): EndRecord {
  const offset = bytes.length - endRecordBytes
  if (view.getUint32(offset, true) !== endSignature) {
    throw new ArchiveError(
      'ARCHIVE_TRUNCATED',
      'The archive does not end with its end record: it is cut short, or something follows it.',
    )
  }
  // A record whose comment reaches the end of the file would be taken by readers that search from there.
  for (let other = offset - 1; other >= Math.max(0, offset - 0xffff - endRecordBytes); other--) {
    if (
      view.getUint32(other, true) === endSignature &&
      other + endRecordBytes + view.getUint16(other + 20, true) === bytes.length
    ) {
      throw new ArchiveError('ARCHIVE_END_RECORD', 'The archive has two end records.')
    }
  }
  const [disk, centralDisk, here, entries] = [4, 6, 8, 10].map((at) => view.getUint16(offset + at, true)) as [
    number,
    number,
    number,
    number,
  ]
  const centralBytes = view.getUint32(offset + 12, true)
  const centralOffset = view.getUint32(offset + 16, true)
  if (entries === 0xffff || centralBytes === 0xffffffff || centralOffset === 0xffffffff) {
    throw new ArchiveError('ARCHIVE_ZIP64', 'Zip64 archives are not accepted.')
  }
  if (disk !== 0 || centralDisk !== 0 || here !== entries || view.getUint16(offset + 20, true) !== 0) {
    throw new ArchiveError('ARCHIVE_END_RECORD', 'The end record names several disks or carries a comment.')
  }
  if (centralOffset + centralBytes !== offset) {
    throw new ArchiveError(
      'ARCHIVE_RANGES',
      'The central directory does not reach from where the end record says to the end record.',
    )
  }
  if (entries === 0) throw new ArchiveError('ARCHIVE_EMPTY', 'The archive is empty.')
  if (entries > limits.maxEntries) {
    throw new ArchiveError(
      'ARCHIVE_TOO_MANY_ENTRIES',
      `The archive has ${entries} entries, more than ${limits.maxEntries}.`,
    )
  }
  return { entries, centralOffset, endOffset: offset }
}
