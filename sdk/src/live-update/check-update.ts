import { sha256Hex } from '../archive/sha256.js'
import {
  compareVersions,
  isInRollout,
  type SequenceFloor,
  type VerifiedRelease,
  verifyRelease,
} from '../release/index.js'
import { fetchBytes } from './fetch-bytes.js'
import { learnRoots } from './learn-roots.js'
import { LiveUpdateError, type LiveUpdateErrorCode } from './live-update-error.js'
import { type Answer, type Latest, queryLatest } from './query-latest.js'
import type { Session } from './session.js'
import type { State } from './state.js'

/** A bundle that may be downloaded. `verified` is `null` in the compat profile, where only the bytes are signed. */
export interface Candidate {
  latest: Latest
  bundleId: string
  verified: VerifiedRelease | null
}

/** `candidate` is there when the device has something to download. */
export interface CheckResult {
  status: 'none' | 'not-in-rollout' | 'up-to-date' | 'staged' | 'available'
  bundleId: string | null
  candidate: Candidate | null
}

function channelOf(session: Session, state: State): string {
  return state.channel ?? session.config.channel
}

/** Under which name a device keeps its floor and history. */
export function lineOf(session: Session, state: State): string {
  return `${channelOf(session, state)}\n${session.config.platform}`
}

/** The floor compiled into the app, or the one this device has reached, whichever is higher. */
function floorOf(session: Session, state: State): SequenceFloor | null {
  const seen = state.floors[lineOf(session, state)] ?? null
  const minimum = session.config.minimumSequence ?? 0
  return seen === null || seen.sequence < minimum ? { sequence: minimum, releaseId: null } : seen
}

/** Refuses what failed on this device before. */
export function refuseBlocked(state: State, bundle: { bundleId: string; releaseId: string | null }): void {
  if (state.blocked.some((failed) => failed.bundleId === bundle.bundleId || failed.releaseId === bundle.releaseId)) {
    throw new LiveUpdateError(
      'BLOCKED',
      `Bundle ${bundle.bundleId} failed on this device before and is not tried again.`,
    )
  }
}

function compare(state: State, candidate: Candidate): CheckResult {
  const releaseId = candidate.verified?.releaseId
  const same = (bundle: State['current']): boolean =>
    bundle !== null &&
    (releaseId === undefined ? bundle.bundleId === candidate.bundleId : bundle.releaseId === releaseId)
  if (same(state.next)) return { status: 'staged', bundleId: candidate.bundleId, candidate: null }
  if (same(state.current) && state.next === null)
    return { status: 'up-to-date', bundleId: candidate.bundleId, candidate: null }
  // [R12] a bundle that broke the app once
  refuseBlocked(state, { bundleId: candidate.bundleId, releaseId: releaseId ?? null })
  return { status: 'available', bundleId: candidate.bundleId, candidate }
}

function refuse(code: LiveUpdateErrorCode, message: string): never {
  throw new LiveUpdateError(code, message)
}

async function query(session: Session, state: State): Promise<Answer> {
  const { config, world } = session
  const device = {
    deviceId: state.deviceId,
    channel: channelOf(session, state),
    bundleId: state.current?.bundleId ?? config.builtInBundleId ?? (await world.builtInBundleId?.()) ?? null,
  }
  if (config.staticUrl === undefined) return queryLatest(world.fetch, config, device)
  const { queryStatic } = await import('./query-static.js')
  const rootVersion = Math.max(config.trust.rootVersion, ...state.roots.map(({ version }) => version))
  const tools = { fetchBytes, sha256Hex, isInRollout, compareVersions, refuse }
  return queryStatic(session, { ...device, rootVersion, now: world.now() }, tools)
}

/**
 * Asks the server, or the CDN, what is current and, in the release profile, checks both statements. Nothing is downloaded.
 *
 * @throws {LiveUpdateError}
 */
export async function checkUpdate(session: Session): Promise<CheckResult> {
  const { config, world } = session
  const before = await session.load()
  const { latest, roots } = await query(session, before)
  // [K5] also where nothing is offered, as while a channel is paused
  const trust = config.profile === 'compat' ? null : await learnRoots(session, roots)
  if (latest === null) return { status: 'none', bundleId: null, candidate: null }
  const state = await session.load()
  if (trust === null) return compare(state, { latest, bundleId: latest.bundleId, verified: null })
  const verified = await verifyRelease(latest, trust, {
    appId: config.appId,
    platform: config.platform,
    channel: channelOf(session, state),
    nativeVersion: config.appVersionName,
    now: world.now(),
    floor: floorOf(session, state),
  })
  const { bundleId } = verified.release
  if (!(await isInRollout(state.deviceId, verified.channel.rollout))) {
    return { status: 'not-in-rollout', bundleId, candidate: null }
  }
  return compare(state, { latest, bundleId, verified })
}
