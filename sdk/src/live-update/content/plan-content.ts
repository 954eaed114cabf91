import type { FileDigest } from '../../archive/sha256.js'
import type { Candidate } from '../check-update.js'
import type { Session } from '../session.js'
import { archiveSource } from './archive-source.js'
import type { ContentSource } from './content-source.js'
import { receiveSignedArchive } from './receive-signed-archive.js'

/** What is to be stored, and the ways to come to it. */
export interface ContentPlan {
  /** SHA-256 of the signed archive; the name under which the bundle is stored. */
  id: string
  /** The signed list of files; `null` when only the archive as a whole is signed. */
  files: readonly FileDigest[] | null
  sources: readonly ContentSource[]
}

/** The ways to the content of a candidate. The archive is always one of them. */
export async function planContent(session: Session, candidate: Candidate): Promise<ContentPlan> {
  const { verified } = candidate
  if (verified === null) return receiveSignedArchive(session, candidate)
  const { archive, files } = verified.release
  return { id: archive.sha256, files, sources: [archiveSource(session, candidate, verified.release)] }
}
