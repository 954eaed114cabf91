import { type Candidate, checkUpdate, lineOf } from './check-update.js'
import { isIntact } from './digest-bundle.js'
import type { Session } from './session.js'
import { type BundleRef, remember, type State } from './state.js'

/** `staged` means that the next launch runs the bundle. */
export interface SyncResult {
  status: 'none' | 'not-in-rollout' | 'up-to-date' | 'staged'
  bundleId: string | null
}

/** The state in which the bundle runs next, and nothing older is accepted any more. */
function accept(session: Session, state: State, candidate: Candidate, bundle: BundleRef): State {
  const line = lineOf(session, state)
  if (candidate.verified === null) {
    const history = remember(state.history[line] ?? [], bundle.id, (a, b) => a === b)
    return { ...state, next: bundle, history: { ...state.history, [line]: history } }
  }
  const floor = { sequence: candidate.verified.release.sequence, releaseId: bundle.releaseId }
  return { ...state, next: bundle, floors: { ...state.floors, [line]: floor } }
}

/**
 * Brings the device up to date: check, download, verify, stage. The running bundle is untouched; the next launch switches.
 *
 * @throws {LiveUpdateError}
 */
export async function syncUpdate(session: Session): Promise<SyncResult> {
  const { status, bundleId, candidate } = await checkUpdate(session)
  if (candidate === null) return { status: status as SyncResult['status'], bundleId }
  const { storage } = session.world
  await session.update(async (state) => {
    await storage.clearStaged()
    return { state, result: null }
  })
  // What downloads is loaded when there is something to download: most starts find nothing new.
  const { acquireContent } = await import('./content/acquire-content.js')
  const { bundle, staged } = await acquireContent(session, candidate)
  try {
    await session.update(async (state) => {
      // Only now is anything of it visible: complete, verified and durable.
      if (!(await isIntact(storage, bundle))) await staged.commit(bundle.id)
      return { state: accept(session, state, candidate, bundle), result: null }
    })
  } finally {
    await staged.discard().catch(() => null)
  }
  session.emit({ type: 'staged', bundleId: candidate.bundleId })
  return { status: 'staged', bundleId: candidate.bundleId }
}
