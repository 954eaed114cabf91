import { ArchiveError, writeArchive } from '@capstan/sdk/archive'
import { Problem } from '../problems.js'

const nothing = new Uint8Array(0)

/**
 * Refuses paths that leave their folder, are not the same name on every file system, or collide: by the writer of
 * archives, so that files of a manifest are judged as entries of a zip are.
 */
export function checkPaths(paths: readonly string[]): void {
  try {
    writeArchive(paths.map((path) => ({ path, content: nothing })))
  } catch (error) {
    if (error instanceof ArchiveError)
      throw new Problem('bundle-file-invalid', `href: ${error.message} (${error.code})`)
    throw error
  }
}
