import type { Envelope, SequenceFloor } from '../release/index.js'
import { LiveUpdateError } from './live-update-error.js'
import { randomUuid } from './random-uuid.js'

/** A bundle on this device. */
export interface BundleRef {
  /** SHA-256 of its archive; the name under which it is stored. */
  id: string
  /** The server's name for it. */
  bundleId: string
  /** SHA-256 of its release statement; in the compat profile that of its archive. */
  releaseId: string
  /** Folder inside the bundle that holds index.html, empty for the bundle itself. */
  root: string
  /** SHA-256 of the list of its files, to notice damage. */
  filesDigest: string
  /** What the server knows it by, for reports. */
  served?: ServedBundle | undefined
}

/** A bundle and the deployment that brought it, in the server's words; only the release profile knows the deployment. */
export interface ServedBundle {
  bundleId: string
  deploymentId: string | null
}

/** Everything the client remembers. One text, replaced in one step, is the pointer that decides what runs. */
export interface State {
  v: 1
  appId: string
  deviceId: string
  /** The native version that wrote this; another one starts from its own built-in bundle. */
  nativeVersion: string
  /** The channel that the app chose at run time; `null` is the configured one. */
  channel: string | null
  /** What the last launch ran; `null` is the built-in bundle. */
  current: BundleRef | null
  /** The last bundle that was confirmed; `null` is the built-in bundle. */
  lastGood: BundleRef | null
  /** What the next launch runs. */
  next: BundleRef | null
  /** The launch of `current` that is not confirmed yet. */
  trial: { nonce: string } | null
  /** What failed here, newest last. */
  blocked: { bundleId: string; releaseId: string; served?: ServedBundle | undefined }[]
  /** By channel and platform: the highest release accepted. Never lowered. */
  floors: Record<string, SequenceFloor>
  /** By channel and platform, compat profile: the archives accepted, newest last. */
  history: Record<string, string[]>
  /** Root statements learned after the embedded one, oldest first. */
  roots: { version: number; envelope: Envelope }[]
  /** What the newest of them revokes, in the customer's words: such a bundle never becomes the one to fall back to. */
  revoked?: readonly string[]
  /** Bundles whose start was reported, in the server's words, newest last: each is reported once. */
  reported?: string[]
  /** What this device signs reports in with; `''` when the server gives it none. */
  deviceToken?: string
}

const maximumRemembered = 100

/** The state of a device that never updated. */
export function emptyState(appId: string, nativeVersion: string): State {
  return {
    v: 1,
    appId,
    deviceId: randomUuid(),
    nativeVersion,
    channel: null,
    current: null,
    lastGood: null,
    next: null,
    trial: null,
    blocked: [],
    floors: {},
    history: {},
    roots: [],
  }
}

/**
 * Reads the stored state. The text is this client's own and was replaced in one step, so a text that cannot be read is a
 * failing disk: it is reported rather than taken for a fresh device, which would forget the floors.
 *
 * @throws {LiveUpdateError} `STORAGE`, `CONFIG`
 */
export function readState(text: string | null, appId: string, nativeVersion: string): State {
  if (text === null) return emptyState(appId, nativeVersion)
  let state: Partial<State> | null
  try {
    state = JSON.parse(text) as Partial<State> | null
  } catch (cause) {
    throw new LiveUpdateError(
      'STORAGE',
      'The stored state of live updates is damaged; the built-in bundle is to be used.',
      { cause },
    )
  }
  if (state === null || typeof state !== 'object' || state.v !== 1 || typeof state.floors !== 'object') {
    throw new LiveUpdateError(
      'STORAGE',
      'The stored state of live updates is not of this version; the built-in bundle is to be used.',
    )
  }
  if (state.appId !== appId) {
    throw new LiveUpdateError('CONFIG', `The directory belongs to app ${state.appId}; give each app its own.`)
  }
  return { ...(state as State), channel: state.channel ?? null }
}

/** Remembers one more value, newest last, each once, the oldest forgotten. */
export function remember<T>(list: readonly T[], value: T, same: (a: T, b: T) => boolean): T[] {
  return [...list.filter((other) => !same(other, value)), value].slice(-maximumRemembered)
}
