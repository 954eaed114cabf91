import type { Candidate } from '../check-update.js'
import type { Session } from '../session.js'
import { admitSigned } from './admit-signed.js'
import { putArchive } from './archive-source.js'
import type { ContentSource } from './content-source.js'
import { downloadArchive } from './download-archive.js'
import type { ContentPlan } from './plan-content.js'

/** Compat profile, a zip: the archive is what is signed, so it is downloaded before anything is known about it. */
export async function receiveSignedArchive(session: Session, candidate: Candidate): Promise<ContentPlan> {
  let id = ''
  const { bytes } = await downloadArchive(session, candidate, {
    maximumBytes: Infinity,
    totalBytes: null,
    verify: async (received) => {
      const signature = candidate.latest.signature ?? received.headers.get('x-signature')
      id = await admitSigned(session, candidate, { bytes: received.bytes, signature })
    },
  })
  const provide: ContentSource['provide'] = (put) => putArchive(session, bytes, put)
  return { id, files: null, sources: [{ kind: 'archive', costBytes: 0, provide }] }
}
