import { defaultArchiveLimits } from '../../archive/archive-limits.js'
import { sha256Hex } from '../../archive/sha256.js'
import { verifySignature } from '../../release/index.js'
import { type Candidate, lineOf, refuseBlocked } from '../check-update.js'
import { LiveUpdateError } from '../live-update-error.js'
import type { Session } from '../session.js'
import type { State } from '../state.js'
import { putArchive } from './archive-source.js'
import { download } from './download.js'
import type { ContentPlan } from './plan-content.js'

function refuseLeftBehind(session: Session, state: State, id: string): void {
  const history = state.history[lineOf(session, state)] ?? []
  const place = history.indexOf(id)
  // [C3] replay of an older bundle; the signature alone cannot tell it from a new one
  if (place !== -1 && place !== history.length - 1 && session.config.allowReturn !== true) {
    throw new LiveUpdateError('DOWNGRADE', 'The server offers a bundle that this device already left behind.')
  }
}

/** What the customer signed in the compat profile, `bytes`, is new to this device; its name on it. */
async function admitSigned(
  session: Session,
  candidate: Candidate,
  { bytes, signature }: { bytes: Uint8Array; signature: unknown },
): Promise<string> {
  // [C1] bytes that the customer did not sign
  await verifySignature(session.config.trust.releaseKeys, bytes, signature)
  const id = await sha256Hex(bytes)
  const state = await session.load()
  // [C2] a bundle that broke the app once, under this or another name
  refuseBlocked(state, { bundleId: candidate.bundleId, releaseId: id })
  refuseLeftBehind(session, state, id)
  return id
}

/** Compat profile: the archive is what is signed, so it is downloaded before anything is known about it. */
export async function receiveSignedArchive(session: Session, candidate: Candidate): Promise<ContentPlan> {
  const { bytes, headers } = await download(session, candidate, {
    url: candidate.latest.url,
    maximumBytes: session.config.limits?.maxArchiveBytes ?? defaultArchiveLimits.maxArchiveBytes,
    totalBytes: null,
  })
  const signature = candidate.latest.signature ?? headers.get('x-signature')
  const id = await admitSigned(session, candidate, { bytes, signature })
  const provide: ContentPlan['sources'][number]['provide'] = (put) => putArchive(session, bytes, put)
  return { id, files: null, sources: [{ kind: 'archive', costBytes: 0, provide }] }
}
