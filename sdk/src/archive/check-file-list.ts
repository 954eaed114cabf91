import { ArchiveError } from './archive-error.js'
import { type ArchiveLimits, defaultArchiveLimits } from './archive-limits.js'
import { checkName, checkUniqueNames } from './check-name.js'
import type { FileDigest } from './sha256.js'

/**
 * The archive rules for a bundle that comes without an archive: names, number and sizes of its files.
 *
 * @throws {ArchiveError}
 */
export function checkFileList(files: readonly FileDigest[], limits: Partial<ArchiveLimits> = {}): void {
  const bounds = { ...defaultArchiveLimits, ...limits }
  if (files.length === 0) throw new ArchiveError('ARCHIVE_EMPTY', 'The bundle holds no files.')
  if (files.length > bounds.maxEntries) {
    throw new ArchiveError('ARCHIVE_TOO_MANY_ENTRIES', `The bundle has more than ${bounds.maxEntries} files.`)
  }
  let total = 0
  for (const { path, size } of files) {
    checkName(path, bounds)
    total += size
    if (size > bounds.maxFileBytes) {
      throw new ArchiveError('ARCHIVE_FILE_TOO_LARGE', `A file has more than ${bounds.maxFileBytes} bytes.`, path)
    }
  }
  checkUniqueNames(files.map(({ path }) => ({ path, directory: false })))
  if (total > bounds.maxTotalBytes) {
    throw new ArchiveError('ARCHIVE_TOTAL_TOO_LARGE', `The bundle has more than ${bounds.maxTotalBytes} bytes.`)
  }
}
