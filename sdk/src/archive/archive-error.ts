/**
 * Why an archive is refused. One code per rule of FORMAT.md §Archive; never renamed.
 */
export type ArchiveErrorCode =
  | 'ARCHIVE_NOT_ZIP'
  | 'ARCHIVE_TRUNCATED'
  | 'ARCHIVE_END_RECORD'
  | 'ARCHIVE_ZIP64'
  | 'ARCHIVE_EMPTY'
  | 'ARCHIVE_TOO_LARGE'
  | 'ARCHIVE_TOO_MANY_ENTRIES'
  | 'ARCHIVE_HEADER_BROKEN'
  | 'ARCHIVE_HEADERS_DISAGREE'
  | 'ARCHIVE_RANGES'
  | 'ARCHIVE_ENCRYPTED'
  | 'ARCHIVE_METHOD'
  | 'ARCHIVE_ENTRY_TYPE'
  | 'ARCHIVE_NAME_ENCODING'
  | 'ARCHIVE_NAME_UNSAFE'
  | 'ARCHIVE_NAME_RESERVED'
  | 'ARCHIVE_NAME_TOO_LONG'
  | 'ARCHIVE_NAME_DUPLICATE'
  | 'ARCHIVE_NAME_COLLISION'
  | 'ARCHIVE_TOO_DEEP'
  | 'ARCHIVE_FILE_TOO_LARGE'
  | 'ARCHIVE_TOTAL_TOO_LARGE'
  | 'ARCHIVE_RATIO'
  | 'ARCHIVE_SIZE_MISMATCH'
  | 'ARCHIVE_DEFLATE_BROKEN'
  | 'ARCHIVE_CRC_MISMATCH'

/** An archive was refused. `code` is stable, `message` is one sentence for people, `path` the entry when one is to blame. */
export class ArchiveError extends Error {
  override name = 'ArchiveError' as const
  readonly code: ArchiveErrorCode
  readonly path: string | null

  constructor(code: ArchiveErrorCode, message: string, path: string | null = null) {
    super(message)
    this.code = code
    this.path = path
  }
}
