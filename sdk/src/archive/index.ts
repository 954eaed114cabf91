/**
 * Zip archives under the archive rules of FORMAT.md: one reader for device and server, and a deterministic writer.
 *
 * @module
 */
export { ArchiveError, type ArchiveErrorCode } from './archive-error.js'
export { type ArchiveLimits, defaultArchiveLimits } from './archive-limits.js'
export { type Archive, type ArchiveFile, openArchive } from './open-archive.js'
export { type FileDigest, sha256Hex } from './sha256.js'
export { validateArchive } from './validate-archive.js'
export { type ArchiveInput, type Deflate, writeArchive } from './write-archive.js'
