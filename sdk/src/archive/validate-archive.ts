import type { ArchiveLimits } from './archive-limits.js'
import { openArchive } from './open-archive.js'

/** A file of an archive by its content. `sha256` is lower-case hex. */
export interface FileDigest {
  path: string
  sha256: string
  size: number
}

/** SHA-256 as lower-case hex. */
export async function sha256Hex(bytes: Uint8Array): Promise<string> {
  const digest = new Uint8Array(await globalThis.crypto.subtle.digest('SHA-256', bytes))
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/**
 * Opens an archive, unpacks every file in memory one after the other, and lists what it holds, sorted by path.
 * What this returns without throwing, a device accepts too.
 *
 * @throws {ArchiveError}
 */
export async function validateArchive(bytes: Uint8Array, limits: Partial<ArchiveLimits> = {}): Promise<FileDigest[]> {
  const digests: FileDigest[] = []
  for (const file of openArchive(bytes, limits).files) {
    digests.push({ path: file.path, sha256: await sha256Hex(file.read()), size: file.size })
  }
  return digests.toSorted((a, b) => (a.path < b.path ? -1 : 1))
}
