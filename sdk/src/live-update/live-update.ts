import { checkUpdate } from './check-update.js'
import type { LiveUpdateListener } from './events.js'
import { followStrategy } from './follow-strategy.js'
import { applyUpdate, confirmLaunch, currentBundle, launchBundle, resetBundles } from './launch-bundle.js'
import type { Launch } from './launch.js'
import { LiveUpdateError, toLiveUpdateError } from './live-update-error.js'
import { checkOptions, type LiveUpdateOptions } from './options.js'
import { openSession, type Session, type World } from './session.js'
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
  /**
   * From now on updates come from another channel; `null` is the configured one. What runs keeps running. In the release
   * profile a release must name the channel, so nobody but the customer decides what may run on it.
   */
  setChannel(channel: string | null): Promise<void>
  /** Stops looking for updates in the background. */
  stop(): void
  /** Calls `listener` with every event until the returned function is called. */
  subscribe(listener: LiveUpdateListener): () => void
}

async function chooseChannel(session: Session, channel: string | null): Promise<void> {
  if (channel !== null && (typeof channel !== 'string' || channel === '' || channel.length > 200))
    throw new LiveUpdateError('CONFIG', 'A channel is a text of 1 to 200 characters.')
  await session.update((state) => Promise.resolve({ state: { ...state, channel, next: null }, result: null }))
}

/** Loaded only where an app asked for it. */
async function report(session: Session): Promise<void> {
  const { sendReports } = await import('./send-reports.js')
  await sendReports(session)
}

/**
 * Opens the client over any storage and any `fetch`.
 *
 * @throws {LiveUpdateError} `CONFIG`, `INSECURE_URL`, `KEY_*`, `CRYPTO_UNAVAILABLE`: an app with a wrong key does not run updates at all
 */
export async function openLiveUpdate(options: LiveUpdateOptions, world: World): Promise<LiveUpdate> {
  const config = await checkOptions(options)
  const session = openSession(config, world)
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
    const start = (free: boolean): Promise<SyncResult> => {
      if (!free) throw new LiveUpdateError('BUSY', 'Another page of this app is running a sync.')
      return syncUpdate(session)
    }
    try {
      return await (world.exclusively ? world.exclusively(start) : start(true))
    } finally {
      // After the sync, whatever came of it: what there is to say is not lost when this fails, too.
      if (config.telemetry === true) await report(session).catch(() => null)
      syncing = false
    }
  }

  const decide = (): Promise<Launch> => launchBundle(session)
  const change = (): Promise<Launch> => applyUpdate(session)
  const current = (): Promise<Launch> => currentBundle(session)
  const client: LiveUpdate = {
    check: () =>
      guard(async () => {
        const { status, bundleId } = await checkUpdate(session)
        return { status, bundleId }
      }),
    sync: () => guard(syncOnce),
    launch: () => guard(() => world.host?.launch(decide, current) ?? decide()),
    apply: () => guard(() => world.host?.apply(change, current) ?? change()),
    current: () => guard(current),
    ready: (nonce) => guard(() => confirmLaunch(session, nonce)),
    reset: () => guard(() => resetBundles(session)),
    setChannel: (channel) => guard(() => chooseChannel(session, channel)),
    stop: () => undefined,
    subscribe: (listener) => session.subscribe(listener),
  }
  return followStrategy(client, config)
}
