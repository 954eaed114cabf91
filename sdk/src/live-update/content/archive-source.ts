import { defaultArchiveLimits } from '../../archive/archive-limits.js'
import { type ReleaseStatement, verifyArchiveBytes } from '../../release/index.js'
import type { Candidate } from '../check-update.js'
import type { Session } from '../session.js'
import type { ContentSource, PutFile } from './content-source.js'
import { download } from './download.js'
import { findRoot } from './find-root.js'

/** Puts every file of an archive whose bytes are verified. */
export async function putArchive(session: Session, bytes: Uint8Array, put: PutFile): Promise<void> {
  // [R15] whatever else a zip can do
  // [C4] the same, in the compat profile
  // The archive reader is loaded when there is something to read: most starts find nothing new.
  const { openArchive } = await import('../../archive/open-archive.js')
  const archive = openArchive(bytes, session.config.limits)
  findRoot(archive.files.map((file) => file.path))
  for (const file of archive.files) await put(file.path, file.read())
}

/** The whole archive of a release. */
export function archiveSource(session: Session, candidate: Candidate, release: ReleaseStatement): ContentSource {
  const totalBytes = release.archive.size
  return {
    kind: 'archive',
    costBytes: totalBytes,
    async provide(put) {
      const allowed = session.config.limits?.maxArchiveBytes ?? defaultArchiveLimits.maxArchiveBytes
      const { bytes } = await download(session, candidate, {
        url: candidate.latest.url,
        maximumBytes: Math.min(totalBytes, allowed),
        totalBytes,
      })
      await verifyArchiveBytes(release, bytes)
      await putArchive(session, bytes, put)
    },
  }
}
