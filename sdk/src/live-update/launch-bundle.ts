import { isIntact } from './digest-bundle.js'
import type { LiveUpdateEvent } from './events.js'
import type { Launch } from './launch.js'
import { LiveUpdateError } from './live-update-error.js'
import type { LaunchConfig, LaunchWorld, Session } from './session.js'
import { emptyState, readState, remember, type State } from './state.js'

type LaunchSession = Session<LaunchConfig, LaunchWorld>

interface Step {
  state: State
  events: LiveUpdateEvent[]
}

/** A trial that nobody confirmed: its bundle is blocked and the last good one comes back. */
function rollBack(step: Step): Step {
  const { state, events } = step
  const { current, lastGood } = state
  if (state.trial === null || current === null) return step
  const failed = { bundleId: current.bundleId, releaseId: current.releaseId, served: current.served }
  return {
    state: {
      ...state,
      current: lastGood,
      next: state.next?.releaseId === failed.releaseId ? null : state.next,
      trial: null,
      blocked: remember(state.blocked, failed, (a, b) => a.releaseId === b.releaseId),
    },
    events: [...events, { type: 'rolled-back', from: failed.bundleId, to: lastGood?.bundleId ?? null }],
  }
}

/** A new native app starts from its own built-in bundle, which may be newer than any update for the old one. */
function startOver({ state, events }: Step, nativeVersion: string): Step {
  if (state.nativeVersion === nativeVersion) return { state, events }
  return { state: { ...state, nativeVersion, current: null, lastGood: null, next: null, trial: null }, events }
}

/** What was confirmed before, else the built-in bundle: a bundle that changed on disk is not run. */
async function settle(session: LaunchSession, { state, events }: Step): Promise<Step> {
  const good = state.lastGood
  if (good === null || (await isIntact(session.world.storage, good)))
    return { state: { ...state, current: good }, events }
  return {
    state: { ...state, current: null, lastGood: null },
    events: [...events, { type: 'damaged', bundleId: good.bundleId }],
  }
}

/** Puts a staged bundle on trial. One that changed on disk, or lost bytes with the power, is dropped and can be fetched again. */
async function switchToNext(
  session: LaunchSession,
  { state, events }: Step,
): Promise<{ switched: boolean; step: Step }> {
  const { next } = state
  if (next === null) return { switched: false, step: { state, events } }
  if (!(await isIntact(session.world.storage, next))) {
    const damaged: LiveUpdateEvent = { type: 'damaged', bundleId: next.bundleId }
    return { switched: false, step: { state: { ...state, next: null }, events: [...events, damaged] } }
  }
  const trial = { nonce: session.world.randomId() }
  return { switched: true, step: { state: { ...state, current: next, next: null, trial }, events } }
}

function describe(session: LaunchSession, state: State): Launch {
  return {
    bundleId: state.current?.bundleId ?? null,
    directory: session.world.storage.locate(state.current),
    nonce: state.trial?.nonce ?? null,
  }
}

async function run(session: LaunchSession, decide: (state: State) => Promise<Step>): Promise<Launch> {
  const { launch, events } = await session.update(async (before) => {
    const { state, events } = await decide(before)
    return { state, result: { launch: describe(session, state), events } }
  })
  for (const event of events) session.emit(event)
  session.emit({ type: 'launched', bundleId: launch.bundleId, trial: launch.nonce !== null })
  return launch
}

async function decideLaunch(session: LaunchSession, before: State): Promise<Step> {
  const fresh = startOver({ state: before, events: [] }, session.config.nativeVersion)
  const step = rollBack(fresh)
  // The start after a failure runs what worked before; what is staged by now waits for the start after it.
  if (step !== fresh) return settle(session, step)
  const { switched, step: after } = await switchToNext(session, step)
  return switched ? after : settle(session, after)
}

/** Without a disk to write on, a trial cannot be recorded, so nothing new is run; what was confirmed can. */
async function launchUnrecorded(session: LaunchSession, reason: unknown): Promise<Launch> {
  const { config, world } = session
  const state = readState(await world.storage.readState(), config.appId, config.nativeVersion)
  if (state.nativeVersion !== config.nativeVersion) throw reason
  const { state: settled } = await settle(session, { state: { ...state, trial: null }, events: [] })
  return describe(session, settled)
}

/**
 * Decides what runs, once at each start of the app and before its page loads. A staged bundle is switched to and is on
 * trial until `ready`; a trial that was never confirmed is rolled back and blocked.
 *
 * @throws {LiveUpdateError} `STORAGE`; the host then shows its built-in bundle
 */
export async function launchBundle(session: LaunchSession): Promise<Launch> {
  try {
    return await run(session, (before) => decideLaunch(session, before))
  } catch (error) {
    return launchUnrecorded(session, error)
  }
}

/** Switches to a staged bundle now, without a new start; without one, what runs stays as it is. */
export function applyUpdate(session: LaunchSession): Promise<Launch> {
  return run(session, async (state) => (await switchToNext(session, { state, events: [] })).step)
}

/** What the last launch decided, without deciding anew. */
export async function currentBundle(session: LaunchSession): Promise<Launch> {
  return describe(session, await session.load())
}

/**
 * Confirms that the page of a launch works. Its bundle becomes the one to fall back to, and older ones are removed.
 *
 * @throws {LiveUpdateError} `NONCE_MISMATCH` when the nonce is of another launch
 */
export async function confirmLaunch(session: LaunchSession, nonce: string | null): Promise<void> {
  const confirmed = await session.update(async (state) => {
    if (state.trial === null && nonce === null) return { state, result: null }
    if (state.trial?.nonce !== nonce) {
      throw new LiveUpdateError('NONCE_MISMATCH', 'This launch was confirmed before, or another one is running.')
    }
    // [K5] it works, and is revoked all the same
    const isRevoked = state.current !== null && state.revoked?.includes(state.current.bundleId)
    if (isRevoked) return { state: { ...state, trial: null }, result: null }
    // A power cut may damage what is on trial, and the start after it finds that out; what is fallen back to must be on the disk.
    if (state.current !== null) await session.world.storage.persist(state.current.id)
    return { state: { ...state, lastGood: state.current, trial: null }, result: state.current }
  })
  if (confirmed === null) return
  session.emit({ type: 'confirmed', bundleId: confirmed.bundleId })
  // Only after the state is stored: until then the bundle to fall back to is the old one. Left-overs are removed next time.
  await session.update(async (state) => {
    const kept = [state.current, state.lastGood, state.next].flatMap((bundle) => (bundle ? [bundle.id] : []))
    await session.world.storage.prune(kept).catch(() => null)
    return { state, result: null }
  })
}

/**
 * Goes back to the built-in bundle from the next launch on. Floors and blocked bundles are kept, unless the stored state
 * cannot be read any more: then this starts a new one.
 */
export async function resetBundles(session: LaunchSession): Promise<void> {
  const { config, world } = session
  try {
    await session.update((state) =>
      Promise.resolve({ state: { ...state, current: null, lastGood: null, next: null, trial: null }, result: null }),
    )
  } catch (error) {
    if (!(error instanceof LiveUpdateError) || error.code !== 'STORAGE') throw error
    await world.storage.writeState(JSON.stringify(emptyState(config.appId, config.nativeVersion)))
  }
  session.emit({ type: 'reset' })
}
