import { type Envelope, ReleaseError, type Trust, verifyNextRoot } from '../release/index.js'
import type { Session } from './session.js'
import type { BundleRef, State } from './state.js'

/**
 * Follows the root statements that this device learned, then those that the server offers, each signed by the one before,
 * and remembers them. The app may have other keys by now than when it learned them: what does not follow from its keys is
 * forgotten, but for what was revoked.
 */
export async function learnRoots(session: Session, offered: readonly unknown[]): Promise<Trust> {
  return session.update(async (state) => {
    let trust: Trust = { ...session.config.trust, revokedBundleIds: state.revoked ?? [] }
    const roots: State['roots'] = []
    for (const envelope of [...state.roots.map((root) => root.envelope), ...offered]) {
      const next = await verifyNextRoot(envelope, trust, session.config.appId).catch((error: unknown) => {
        if (error instanceof ReleaseError && (error.code === 'ROOT_VERSION' || error.code === 'BAD_SIGNATURE'))
          return null
        throw error
      })
      if (next === null) continue
      trust = next.trust
      roots.push({ version: next.root.version, envelope: envelope as Envelope })
    }
    if (roots.length + state.roots.length === 0) return { state, result: trust }
    // [K5] what its customer revoked is not started any more; a page that runs is not torn from under its user
    const revoked = trust.revokedBundleIds
    const unrevoked = (bundle: BundleRef | null): BundleRef | null =>
      bundle !== null && revoked.includes(bundle.bundleId) ? null : bundle
    const { next, lastGood } = state
    return {
      state: { ...state, roots, revoked, next: unrevoked(next), lastGood: unrevoked(lastGood) },
      result: trust,
    }
  })
}
