import { sha256Hex } from '../../archive/sha256.js'
import { verifySignature } from '../../release/index.js'
import { type Candidate, lineOf, refuseBlocked } from '../check-update.js'
import { LiveUpdateError } from '../live-update-error.js'
import type { Session } from '../session.js'
import type { State } from '../state.js'

function refuseLeftBehind(session: Session, state: State, id: string): void {
  const history = state.history[lineOf(session, state)] ?? []
  const place = history.indexOf(id)
  // [C3] replay of an older bundle; the signature alone cannot tell it from a new one
  if (place !== -1 && place !== history.length - 1 && session.config.allowReturn !== true) {
    throw new LiveUpdateError('DOWNGRADE', 'The server offers a bundle that this device already left behind.')
  }
}

/**
 * Compat profile: whether the customer signed these bytes, and the device may take them. Gives the name under which the
 * bundle is stored.
 *
 * @throws {ReleaseError} `SIGNATURE_MISSING`, `BAD_SIGNATURE`
 * @throws {LiveUpdateError} `BLOCKED`, `DOWNGRADE`
 */
export async function admitSigned(
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
