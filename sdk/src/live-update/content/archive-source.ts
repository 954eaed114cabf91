import { openArchive } from '../../archive/open-archive.js'
import { type ReleaseStatement, verifyArchiveBytes } from '../../release/index.js'
import type { Candidate } from '../check-update.js'
import type { Session } from '../session.js'
import { streamCodec } from '../stream-codec.js'
import type { ContentSource, PutFile } from './content-source.js'
import { downloadArchive } from './download-archive.js'
import { findRoot } from './find-root.js'
import { inOrder } from '../in-order.js'

/** Puts every file of an archive whose bytes are verified. */
export async function putArchive(session: Session, bytes: Uint8Array, put: PutFile): Promise<void> {
  // [R15] whatever else a zip can do
  // [C4] the same, in the compat profile
  const { files } = openArchive(bytes, session.config.limits)
  findRoot(files.map((file) => file.path))
  const codec = session.world.codec ?? streamCodec
  await inOrder(files, async (file) => put(file.path, await file.readWith(codec)))
}

/** The whole archive of a release. */
export function archiveSource(session: Session, candidate: Candidate, release: ReleaseStatement): ContentSource {
  const totalBytes = release.archive.size
  return {
    kind: 'archive',
    costBytes: totalBytes,
    async provide(put) {
      const { bytes } = await downloadArchive(session, candidate, {
        maximumBytes: totalBytes,
        totalBytes,
        verify: (received) => verifyArchiveBytes(release, received.bytes),
      })
      await putArchive(session, bytes, put)
    },
  }
}
