import { checkUpdate } from './check-update.js'
import type { LiveUpdateListener } from './events.js'
import { applyUpdate, confirmLaunch, currentBundle, type Launch, launchBundle, resetBundles } from './launch-bundle.js'
import { LiveUpdateError, toLiveUpdateError } from './live-update-error.js'
import { checkOptions, type LiveUpdateOptions } from './options.js'
import { openSession, type World } from './session.js'
import { type SyncResult, syncUpdate } from './sync-update.js'

/** One app's live updates. Every method throws only `LiveUpdateError`. */
export interface LiveUpdate {
  /** Asks what is current and verifies the answer; downloads nothing. */
  check(): Promise<{
    status: 'none' | 'not-in-rollout' | 'up-to-date' | 'staged' | 'available'
    bundleId: string | null
  }>
  /** Downloads, verifies and stages the current bundle. One at a time. */
  sync(): Promise<SyncResult>
  /** Decides what this start of the app runs. Call it once at start, before the page loads. */
  launch(): Promise<Launch>
  /** Switches to a staged bundle within this start. */
  apply(): Promise<Launch>
  /** What runs now. */
  current(): Promise<Launch>
  /** Confirms the launch with this nonce. */
  ready(nonce: string | null): Promise<void>
  /** Back to the built-in bundle. */
  reset(): Promise<void>
  /** Calls `listener` with every event until the returned function is called. */
  subscribe(listener: LiveUpdateListener): () => void
}

/**
 * Opens the client over any storage and any `fetch`.
 *
 * @throws {LiveUpdateError} `CONFIG`, `INSECURE_URL`, `KEY_*`: an app with a wrong key does not run updates at all
 */
export async function openLiveUpdate(options: LiveUpdateOptions, world: World): Promise<LiveUpdate> {
  const session = openSession(await checkOptions(options), world)
  let syncing = false

  async function guard<T>(operation: () => Promise<T>): Promise<T> {
    try {
      return await operation()
    } catch (error) {
      const refusal = toLiveUpdateError(error)
      session.emit({ type: 'refused', code: refusal.code, message: refusal.message })
      throw refusal
    }
  }

  async function syncOnce(): Promise<SyncResult> {
    if (syncing) throw new LiveUpdateError('BUSY', 'A sync is already running.')
    syncing = true
    try {
      return await syncUpdate(session)
    } finally {
      syncing = false
    }
  }

  return {
    check: () =>
      guard(async () => {
        const { status, bundleId } = await checkUpdate(session)
        return { status, bundleId }
      }),
    sync: () => guard(syncOnce),
    launch: () => guard(() => launchBundle(session)),
    apply: () => guard(() => applyUpdate(session)),
    current: () => guard(() => currentBundle(session)),
    ready: (nonce) => guard(() => confirmLaunch(session, nonce)),
    reset: () => guard(() => resetBundles(session)),
    subscribe: (listener) => session.subscribe(listener),
  }
}
