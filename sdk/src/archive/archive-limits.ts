/** Upper bounds that an archive must keep. All sizes are bytes. */
export interface ArchiveLimits {
  /** The zip file itself. */
  maxArchiveBytes: number
  /** Files and directories together. */
  maxEntries: number
  /** All files unpacked. */
  maxTotalBytes: number
  /** One file unpacked. */
  maxFileBytes: number
  /** Unpacked size divided by packed size, for anything that unpacks to more than 1 MiB. */
  maxRatio: number
  /** Segments of a path. */
  maxDepth: number
  /** UTF-8 bytes of one segment. */
  maxSegmentBytes: number
  /** UTF-8 bytes of a whole path. */
  maxPathBytes: number
}

const mebibyte = 1024 * 1024

/** The limits that apply when a caller names none. */
export const defaultArchiveLimits: Readonly<ArchiveLimits> = {
  maxArchiveBytes: 200 * mebibyte,
  maxEntries: 10_000,
  maxTotalBytes: 200 * mebibyte,
  maxFileBytes: 50 * mebibyte,
  maxRatio: 200,
  maxDepth: 32,
  maxSegmentBytes: 255,
  maxPathBytes: 1024,
}

/** Below this size a high ratio is ordinary text, not a bomb. */
export const ratioFloorBytes = mebibyte
