import { type Envelope, ReleaseError, type Trust, verifyNextRoot } from '../release/index.js'
import type { Session } from './session.js'
import type { State } from './state.js'

/** The trust that follows from the embedded keys and every root statement learned since. */
async function currentTrust(session: Session, state: State): Promise<Trust> {
  let { trust } = session.config
  for (const { version, envelope } of state.roots) {
    if (version <= session.config.trust.rootVersion) continue
    trust = (await verifyNextRoot(envelope, trust, session.config.appId)).trust
  }
  return trust
}

/** Follows the root statements that the server offers, each signed by the one before, and remembers them. */
export async function learnRoots(session: Session, offered: readonly unknown[]): Promise<Trust> {
  return session.update(async (state) => {
    let trust = await currentTrust(session, state)
    const roots = [...state.roots]
    for (const envelope of offered) {
      const next = await verifyNextRoot(envelope, trust, session.config.appId).catch((error: unknown) => {
        if (error instanceof ReleaseError && (error.code === 'ROOT_VERSION' || error.code === 'BAD_SIGNATURE'))
          return null
        throw error
      })
      if (next === null) continue
      trust = next.trust
      roots.push({ version: next.root.version, envelope: envelope as Envelope })
    }
    // What is staged and not yet run is never run once its customer revoked it.
    const revoked = state.next !== null && trust.revokedBundleIds.includes(state.next.bundleId)
    return { state: { ...state, roots, next: revoked ? null : state.next }, result: trust }
  })
}
