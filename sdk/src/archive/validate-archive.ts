import type { ArchiveLimits } from './archive-limits.js'
import { openArchive } from './open-archive.js'
import { type FileDigest, sha256Hex } from './sha256.js'

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
