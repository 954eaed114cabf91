import { checkFileList } from '../../archive/check-file-list.js'
import type { FileDigest } from '../../archive/sha256.js'
import type { ReleaseStatement } from '../../release/index.js'
import type { Candidate } from '../check-update.js'
import type { Session } from '../session.js'
import { archiveSource } from './archive-source.js'
import type { ContentSource } from './content-source.js'
import { fetchByName } from './fetch-by-name.js'
import { fetchByRange } from './fetch-by-range.js'
import { filesSource } from './files-source.js'
import { findInstalled } from './find-installed.js'
import { patchSources } from './patch-source.js'
import { receiveSignedArchive } from './receive-signed-archive.js'
import { receiveSignedManifest } from './receive-signed-manifest.js'

/** Above this share of the archive the changed files are not worth their requests. */
const worthwhileShare = 0.8

/** What is to be stored, and the ways to come to it. */
export interface ContentPlan {
  /** SHA-256 of the signed archive or manifest; the name under which the bundle is stored. */
  id: string
  /** The signed list of files; `null` when only a whole archive is signed. */
  files: readonly FileDigest[] | null
  sources: readonly ContentSource[]
}

/** The ways to the content of a release. The archive is one of them, unless the release is published as single files. */
async function planRelease(session: Session, candidate: Candidate, release: ReleaseStatement): Promise<ContentPlan> {
  const { archive, files } = release
  // Names and sizes that no archive may have either: what is signed is judged before anything of it is fetched.
  checkFileList(files, session.config.limits)
  const installed = await findInstalled(session)
  if (candidate.latest.artifactType === 'manifest') {
    const byName = filesSource(files, installed, { share: 1, fetchFiles: fetchByName(session, candidate) })
    return { id: archive.sha256, files, sources: [byName] }
  }
  const unpacked = files.reduce((sum, { size }) => sum + size, 0)
  const changed = filesSource(files, installed, {
    share: Math.min(1, archive.size / unpacked),
    fetchFiles: fetchByRange(session, candidate, files),
  })
  const whole = archiveSource(session, candidate, release)
  const worthIt = changed.costBytes < whole.costBytes * worthwhileShare
  const patches = await patchSources(session, candidate, release)
  return { id: archive.sha256, files, sources: [...patches, ...(worthIt ? [changed] : []), whole] }
}

/** The ways to the content of a candidate. */
export async function planContent(session: Session, candidate: Candidate): Promise<ContentPlan> {
  if (candidate.verified !== null) return planRelease(session, candidate, candidate.verified.release)
  return candidate.latest.artifactType === 'manifest'
    ? receiveSignedManifest(session, candidate)
    : receiveSignedArchive(session, candidate)
}
