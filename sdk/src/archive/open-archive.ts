import type { ArchiveCodec } from './archive-codec.js'
import { ArchiveError } from './archive-error.js'
import { type ArchiveLimits, defaultArchiveLimits, ratioFloorBytes } from './archive-limits.js'
import { checkName, checkUniqueNames } from './check-name.js'
import { crc32 } from './crc32.js'
import { inflateRaw } from './inflate-raw.js'
import { type ArchiveHeader, readHeaders } from './read-headers.js'

const typeMask = 0o170000
const regularFile = 0o100000
const directoryType = 0o040000
const specialBits = 0o6000
const dosDirectory = 0x10

/** A regular file of an opened archive. */
export interface ArchiveFile {
  /** Relative path with forward slashes. */
  readonly path: string
  /** Unpacked size in bytes. */
  readonly size: number
  /**
   * Unpacks the file, enforcing its declared size while it does, and checks its CRC-32.
   *
   * @throws {ArchiveError} `ARCHIVE_SIZE_MISMATCH`, `ARCHIVE_DEFLATE_BROKEN`, `ARCHIVE_CRC_MISMATCH`
   */
  read(): Uint8Array
  /**
   * The same with the platform's code where that is sure of itself. What it gives may be a view of the archive's bytes.
   *
   * @throws {ArchiveError} as `read`
   */
  readWith(codec: ArchiveCodec): Promise<Uint8Array>
}

/** An archive whose structure and names keep every rule; contents are judged as they are read. */
export interface Archive {
  readonly files: readonly ArchiveFile[]
  /** Directories that are listed on their own, without a trailing slash. */
  readonly directories: readonly string[]
  /** All files unpacked, in bytes. */
  readonly totalSize: number
}

/** Only regular files and directories: links, devices, pipes and set-id files have no place in a web bundle. */
function checkType(header: ArchiveHeader, directory: boolean): void {
  const mode = header.externalAttributes >>> 16
  const type = mode & typeMask
  const expected = directory ? directoryType : regularFile
  const dosSaysDirectory = (header.externalAttributes & dosDirectory) !== 0
  if ((type !== 0 && type !== expected) || (!directory && ((mode & specialBits) !== 0 || dosSaysDirectory))) {
    throw new ArchiveError('ARCHIVE_ENTRY_TYPE', 'Only regular files and directories are accepted.', header.name)
  }
}

function checkSizes(header: ArchiveHeader, directory: boolean, limits: ArchiveLimits): void {
  if (directory && (header.size !== 0 || header.crc32 !== 0 || header.packedSize > 2)) {
    throw new ArchiveError('ARCHIVE_ENTRY_TYPE', 'A directory has content.', header.name)
  }
  if (header.size > limits.maxFileBytes) {
    throw new ArchiveError(
      'ARCHIVE_FILE_TOO_LARGE',
      `A file unpacks to ${header.size} bytes, more than ${limits.maxFileBytes}.`,
      header.name,
    )
  }
  if (header.method === 0 && header.size !== header.packedSize) {
    throw new ArchiveError('ARCHIVE_SIZE_MISMATCH', 'A stored entry declares two sizes.', header.name)
  }
  if (header.size > ratioFloorBytes && header.size > header.packedSize * limits.maxRatio) {
    throw new ArchiveError(
      'ARCHIVE_RATIO',
      `A file unpacks to more than ${limits.maxRatio} times its packed size.`,
      header.name,
    )
  }
}

function readContent(bytes: Uint8Array, header: ArchiveHeader): Uint8Array {
  const packed = bytes.subarray(header.contentOffset, header.contentOffset + header.packedSize)
  const content = header.method === 0 ? packed.slice() : inflateRaw(packed, header.size)
  if (crc32(content) !== header.crc32) {
    throw new ArchiveError('ARCHIVE_CRC_MISMATCH', 'The content of an entry does not match its CRC-32.', header.name)
  }
  return content
}

async function readContentWith(bytes: Uint8Array, header: ArchiveHeader, codec: ArchiveCodec): Promise<Uint8Array> {
  const packed = bytes.subarray(header.contentOffset, header.contentOffset + header.packedSize)
  const content = header.method === 0 ? packed : await codec.inflateRaw(packed, header.size).catch(() => null)
  return content !== null && codec.crc32(content) === header.crc32 ? content : readContent(bytes, header)
}

/**
 * Opens a zip archive under every archive rule: structure, entry types, names, declared sizes. Nothing is unpacked yet.
 *
 * @param bytes the whole file; it must not change while the archive is in use
 * @throws {ArchiveError}
 */
export function openArchive(bytes: Uint8Array, limits: Partial<ArchiveLimits> = {}): Archive {
  const bounds = { ...defaultArchiveLimits, ...limits }
  const files: ArchiveFile[] = []
  const entries: { path: string; directory: boolean }[] = []
  let totalSize = 0
  for (const header of readHeaders(bytes, bounds)) {
    const directory = header.name.endsWith('/')
    const path = directory ? header.name.slice(0, -1) : header.name
    checkName(path, bounds)
    checkType(header, directory)
    checkSizes(header, directory, bounds)
    entries.push({ path, directory })
    totalSize += header.size
    if (directory) continue
    files.push({
      path,
      size: header.size,
      read: () => readContent(bytes, header),
      readWith: (codec) => readContentWith(bytes, header, codec),
    })
  }
  checkUniqueNames(entries)
  if (totalSize > bounds.maxTotalBytes) {
    throw new ArchiveError(
      'ARCHIVE_TOTAL_TOO_LARGE',
      `The archive unpacks to ${totalSize} bytes, more than ${bounds.maxTotalBytes}.`,
    )
  }
  if (totalSize > ratioFloorBytes && totalSize > bytes.length * bounds.maxRatio) {
    throw new ArchiveError('ARCHIVE_RATIO', `The archive unpacks to more than ${bounds.maxRatio} times its size.`)
  }
  if (files.length === 0) throw new ArchiveError('ARCHIVE_EMPTY', 'The archive holds no files.')
  return { files, directories: entries.filter((entry) => entry.directory).map((entry) => entry.path), totalSize }
}
