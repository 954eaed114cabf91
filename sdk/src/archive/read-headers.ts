import { ArchiveError } from './archive-error.js'
import type { ArchiveLimits } from './archive-limits.js'
import { type EndRecord, endRecordBytes, endSignature, readEndRecord } from './read-end-record.js'

const signatures = { local: 0x04034b50, central: 0x02014b50, descriptor: 0x08074b50 }
const centralHeaderBytes = 46
const localHeaderBytes = 30
const flagEncrypted = 0x0001
const flagDescriptor = 0x0008
const flagUtf8 = 0x0800
/** Bits an encoder may set: compression level hints, descriptor, UTF-8. */
const knownFlags = 0x0006 | flagDescriptor | flagUtf8
const zip64Extra = 0x0001
const unicodePathExtra = 0x7075

/** One central header, its local header checked against it. Offsets are from the start of the archive. */
export interface ArchiveHeader {
  name: string
  method: number
  crc32: number
  size: number
  packedSize: number
  hostSystem: number
  externalAttributes: number
  /** Where the packed content starts. */
  contentOffset: number
  /** Where the local header starts, and where the entry with its data descriptor ends. */
  startOffset: number
  endOffset: number
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function checkExtra(view: DataView, start: number, length: number, name: string): void {
  for (let at = start; at < start + length;) {
    const end = at + 4 > start + length ? Infinity : at + 4 + view.getUint16(at + 2, true)
    if (end > start + length)
      throw new ArchiveError('ARCHIVE_HEADER_BROKEN', 'An extra field runs past its header.', name)
    const id = view.getUint16(at, true)
    if (id === zip64Extra) throw new ArchiveError('ARCHIVE_ZIP64', 'Zip64 entries are not accepted.', name)
    if (id === unicodePathExtra)
      throw new ArchiveError('ARCHIVE_NAME_ENCODING', 'An entry carries a second name.', name)
    at = end
  }
}

function decodeName(bytes: Uint8Array, utf8: boolean): string {
  if (!utf8 && bytes.some((byte) => byte > 0x7f)) {
    throw new ArchiveError('ARCHIVE_NAME_ENCODING', 'An entry has a name beyond ASCII that is not marked as UTF-8.')
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw new ArchiveError('ARCHIVE_NAME_ENCODING', 'An entry has a name that is not valid UTF-8.')
  }
}

function checkFlags(flags: number, method: number, name: string): void {
  if (flags & (flagEncrypted | 0x2040))
    throw new ArchiveError('ARCHIVE_ENCRYPTED', 'Encrypted entries are not accepted.', name)
  if (flags & ~knownFlags)
    throw new ArchiveError('ARCHIVE_HEADER_BROKEN', 'An entry uses flags that are not accepted.', name)
  if (method !== 0 && method !== 8)
    throw new ArchiveError('ARCHIVE_METHOD', 'Only stored and deflated entries are accepted.', name)
}

/** The bytes after the content when sizes were unknown while writing: with or without its signature, sizes as in the central header. */
function descriptorLength(view: DataView, at: number, limit: number, header: ArchiveHeader): number {
  const matches = (from: number): boolean =>
    from + 12 <= limit &&
    view.getUint32(from, true) === header.crc32 &&
    view.getUint32(from + 4, true) === header.packedSize &&
    view.getUint32(from + 8, true) === header.size
  if (at + 16 <= limit && view.getUint32(at, true) === signatures.descriptor && matches(at + 4)) return 16
  if (matches(at)) return 12
  throw new ArchiveError(
    'ARCHIVE_HEADERS_DISAGREE',
    'A data descriptor disagrees with the central directory.',
    header.name,
  )
}

function readLocal(
  bytes: Uint8Array,
  view: DataView,
  header: ArchiveHeader,
  central: { flags: number; name: Uint8Array; limit: number },
): void {
  const { startOffset: at, name } = header
  if (at + localHeaderBytes > central.limit || view.getUint32(at, true) !== signatures.local) {
    throw new ArchiveError(
      'ARCHIVE_HEADER_BROKEN',
      'An entry has no local header where the central directory says.',
      name,
    )
  }
  const flags = view.getUint16(at + 6, true)
  const nameBytes = view.getUint16(at + 26, true)
  const extraBytes = view.getUint16(at + 28, true)
  const nameEnd = at + localHeaderBytes + nameBytes
  header.contentOffset = nameEnd + extraBytes
  header.endOffset = header.contentOffset + header.packedSize
  if (header.endOffset > central.limit) {
    throw new ArchiveError('ARCHIVE_RANGES', 'An entry reaches into the central directory.', name)
  }
  checkExtra(view, nameEnd, extraBytes, name)
  const sizes = [14, 18, 22].map((offset) => view.getUint32(at + offset, true))
  const expected = [header.crc32, header.packedSize, header.size]
  const described = (flags & flagDescriptor) !== 0
  const sameSizes = sizes.every((value, index) => value === expected[index] || (described && value === 0))
  const sameName =
    nameBytes === central.name.length &&
    central.name.every((byte, index) => byte === bytes[nameEnd - nameBytes + index])
  if (flags !== central.flags || view.getUint16(at + 8, true) !== header.method || !sameSizes || !sameName) {
    throw new ArchiveError('ARCHIVE_HEADERS_DISAGREE', 'A local header disagrees with the central directory.', name)
  }
  if (described) header.endOffset += descriptorLength(view, header.endOffset, central.limit, header)
}

function checkTiling(headers: readonly ArchiveHeader[], centralOffset: number): void {
  let expected = 0
  for (const header of headers.toSorted((a, b) => a.startOffset - b.startOffset)) {
    if (header.startOffset !== expected) {
      throw new ArchiveError('ARCHIVE_RANGES', 'Entries overlap, or bytes between them belong to none.', header.name)
    }
    expected = header.endOffset
  }
  if (expected !== centralOffset)
    throw new ArchiveError('ARCHIVE_RANGES', 'Bytes before the central directory belong to no entry.')
}

/**
 * Reads the headers of a zip archive (APPNOTE 6.3, without zip64, encryption, comments and splitting) and refuses
 * whatever two readers could understand differently. Names and sizes are not judged here.
 *
 * @throws {ArchiveError}
 */
export function readHeaders(bytes: Uint8Array, limits: ArchiveLimits): ArchiveHeader[] {
  if (bytes.length > limits.maxArchiveBytes) {
    throw new ArchiveError(
      'ARCHIVE_TOO_LARGE',
      `The archive has ${bytes.length} bytes, more than ${limits.maxArchiveBytes}.`,
    )
  }
  const view = viewOf(bytes)
  if (bytes.length >= endRecordBytes && view.getUint32(0, true) === endSignature) {
    throw new ArchiveError('ARCHIVE_EMPTY', 'The archive is empty.')
  }
  if (bytes.length < 4 || view.getUint32(0, true) !== signatures.local) {
    throw new ArchiveError('ARCHIVE_NOT_ZIP', 'The file is not a zip archive: it does not start with a local header.')
  }
  if (bytes.length < localHeaderBytes + endRecordBytes) {
    throw new ArchiveError('ARCHIVE_TRUNCATED', 'The archive is cut short.')
  }
  const end = readEndRecord(bytes, view, limits)
  const headers: ArchiveHeader[] = []
  let at = end.centralOffset
  for (let index = 0; index < end.entries; index++) {
    const header = readCentral(bytes, view, at, end)
    headers.push(header.header)
    at = header.next
  }
  if (at !== end.endOffset)
    throw new ArchiveError('ARCHIVE_RANGES', 'The central directory holds more than its entries.')
  checkTiling(headers, end.centralOffset)
  return headers
}

function readCentral(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  end: EndRecord,
): { header: ArchiveHeader; next: number } {
  const fixedEnd = at + centralHeaderBytes
  if (fixedEnd > end.endOffset || view.getUint32(at, true) !== signatures.central) {
    throw new ArchiveError('ARCHIVE_HEADER_BROKEN', 'The central directory is damaged.')
  }
  const u16 = (offset: number): number => view.getUint16(at + offset, true)
  const u32 = (offset: number): number => view.getUint32(at + offset, true)
  const nameEnd = fixedEnd + u16(28)
  const next = nameEnd + u16(30) + u16(32)
  if (next > end.endOffset) throw new ArchiveError('ARCHIVE_HEADER_BROKEN', 'The central directory is damaged.')
  const flags = u16(8)
  const nameBytes = bytes.subarray(fixedEnd, nameEnd)
  const name = decodeName(nameBytes, (flags & flagUtf8) !== 0)
  const header: ArchiveHeader = {
    name,
    method: u16(10),
    crc32: u32(16),
    packedSize: u32(20),
    size: u32(24),
    hostSystem: u16(4) >> 8,
    externalAttributes: u32(38),
    startOffset: u32(42),
    contentOffset: 0,
    endOffset: 0,
  }
  checkFlags(flags, header.method, name)
  if (u16(34) !== 0) throw new ArchiveError('ARCHIVE_END_RECORD', 'An entry is on another disk.', name)
  if (u16(32) !== 0) throw new ArchiveError('ARCHIVE_HEADER_BROKEN', 'An entry carries a comment.', name)
  checkExtra(view, nameEnd, u16(30), name)
  readLocal(bytes, view, header, { flags, name: nameBytes, limit: end.centralOffset })
  return { header, next }
}
