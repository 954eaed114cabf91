import type { ArchiveLimits } from '../archive/archive-limits.js'
import { type Platform, platforms, type Trust, trustOf, useVerifier, type Verifier } from '../release/index.js'
import { LiveUpdateError, toLiveUpdateError } from './live-update-error.js'

/** What a transfer may cost before it is given up. */
export interface TransferLimits {
  /** For the whole transfer, in milliseconds. */
  timeoutMs: number
  /** Every window of this many milliseconds must bring `minimumBytes`. */
  windowMs: number
  minimumBytes: number
}

/**
 * When updates are fetched and run without being asked for:
 * `manual` never; `next-start` fetched after each launch and run by the next one; `background` the same, and looked for
 * again while the app runs; `immediate` fetched during the launch, which waits for it a moment, and run at once.
 */
export type Strategy = 'manual' | 'next-start' | 'background' | 'immediate'

const strategies: readonly Strategy[] = ['manual', 'next-start', 'background', 'immediate']

/** What an app compiles in. Keys come from the native app, never from a bundle. */
export interface LiveUpdateOptions {
  appId: string
  /**
   * Origin of the server, with an optional path prefix: `https://updates.example.com`. Plain http on loopback only. It may
   * be missing where `staticUrl` is there and `telemetry` is not.
   */
  serverUrl?: string
  /**
   * Where the server's static objects can be fetched: `https://cdn.example.com/updates`. With it the server is not asked;
   * a rollout is decided on the device. Release profile only.
   */
  staticUrl?: string
  /** Required in the release profile. */
  channel?: string
  /** `release` (default): two signed statements. `compat`: a signature over the zip, as the official plugins check it. */
  profile?: 'release' | 'compat'
  /** One to three SPKI PEM texts: the customer's keys. */
  publicKey: string | readonly string[]
  /** One to three SPKI PEM texts: the platform's Ed25519 keys. Release profile only. */
  platformKey?: string | readonly string[]
  /** The version of the root statement that these keys are. Default 1. */
  rootVersion?: number
  /**
   * The bundle that the app is shipped with, if it was published as well: patches lead away from it. Needs a host that can
   * list the built-in files; in Capacitor apps and on the web `builtInList` says both.
   */
  builtInBundleId?: string
  /** The lowest sequence this app binary accepts. */
  minimumSequence?: number
  platform: Platform
  appVersionCode: string
  /** Dotted numbers; compared with a release's native versions. */
  appVersionName: string
  osVersion?: string
  customId?: string
  /** Compat profile: accept a content that this device already left behind. Default false. */
  allowReturn?: boolean
  /**
   * Report to the server how bundles start here, confirmed or failed, and nothing else. It is what staged rollouts halt by.
   * Default false.
   */
  telemetry?: boolean
  /** Default `manual`. */
  strategy?: Strategy
  /** `immediate`: how long a launch waits for an update, in milliseconds. Default 5000. */
  launchTimeoutMs?: number
  /** `background`: how often to look, in milliseconds; a minute at least. Default one hour. */
  intervalMs?: number
  /** What verifies in a web view whose WebCrypto cannot; for the whole program. See docs/verifier.md. */
  verifier?: Verifier
  limits?: Partial<ArchiveLimits>
  transfer?: Partial<TransferLimits>
}

/** Options that were checked. */
export interface Config extends Omit<LiveUpdateOptions, 'publicKey' | 'platformKey' | 'transfer' | 'verifier'> {
  profile: 'release' | 'compat'
  channel: string
  /** `''` where only static objects are asked for. */
  serverUrl: string
  nativeVersion: string
  /** The keys compiled in. */
  trust: Trust
  transfer: TransferLimits
}

const defaultTransfer: TransferLimits = { timeoutMs: 15 * 60_000, windowMs: 30_000, minimumBytes: 30 * 1024 }
const loopbackHosts = new Set(['localhost', '127.0.0.1', '[::1]'])

/**
 * Whether bytes may come from an address: https, or http on this machine, without credentials in it.
 *
 * @throws {LiveUpdateError} `INSECURE_URL`
 */
export function checkUrl(address: string): URL {
  let url: URL
  try {
    url = new URL(address)
  } catch {
    throw new LiveUpdateError('INSECURE_URL', 'The server gave an address that is not a URL.')
  }
  const secure = url.protocol === 'https:' || (url.protocol === 'http:' && loopbackHosts.has(url.hostname))
  if (!secure || url.username !== '' || url.password !== '') {
    throw new LiveUpdateError('INSECURE_URL', `Addresses must be https and hold no credentials; ${url.origin} is not.`)
  }
  return url
}

function trimUrl(address: string): string {
  return checkUrl(address).href.replace(/\/+$/, '')
}

function listKeys(keys: string | readonly string[] | undefined, option: string): readonly string[] {
  const list = typeof keys === 'string' ? [keys] : (keys ?? [])
  if (list.length < 1 || list.length > 3) throw new LiveUpdateError('CONFIG', `${option} must hold one to three keys.`)
  return list
}

function rethrow(error: unknown): never {
  throw toLiveUpdateError(error)
}

/**
 * Checks the options; a key that the policy refuses stops here, so an app never runs updates unsigned.
 *
 * @throws {LiveUpdateError} `CONFIG`, `INSECURE_URL`, `KEY_*`, `CRYPTO_UNAVAILABLE`
 */
export async function checkOptions(options: LiveUpdateOptions): Promise<Config> {
  const { publicKey, platformKey, transfer, verifier, ...rest } = options
  const profile = options.profile ?? 'release'
  for (const name of ['appId', 'appVersionCode', 'appVersionName'] as const) {
    if (typeof options[name] !== 'string' || options[name] === '')
      throw new LiveUpdateError('CONFIG', `${name} is missing.`)
  }
  if (!platforms.includes(options.platform)) {
    throw new LiveUpdateError('CONFIG', `platform must be one of ${platforms.join(', ')}.`)
  }
  if (profile !== 'release' && profile !== 'compat')
    throw new LiveUpdateError('CONFIG', 'profile must be release or compat.')
  if (options.strategy !== undefined && !strategies.includes(options.strategy))
    throw new LiveUpdateError('CONFIG', `strategy must be one of ${strategies.join(', ')}.`)
  for (const [name, minimum] of Object.entries({
    intervalMs: 60_000,
    launchTimeoutMs: 0,
    minimumSequence: 0,
    rootVersion: 1,
  })) {
    const value = options[name as 'intervalMs']
    if (value !== undefined && !(Number.isSafeInteger(value) && value >= minimum))
      throw new LiveUpdateError('CONFIG', `${name} must be a whole number from ${minimum}.`)
  }
  if (profile === 'release' && !options.channel)
    throw new LiveUpdateError('CONFIG', 'The release profile needs a channel.')
  if (options.staticUrl !== undefined && profile !== 'release')
    throw new LiveUpdateError('CONFIG', 'staticUrl needs the release profile.')
  if (options.serverUrl === undefined && (options.staticUrl === undefined || options.telemetry === true))
    throw new LiveUpdateError('CONFIG', 'serverUrl is missing.')
  if (verifier) await useVerifier(verifier).catch(rethrow)
  const releaseKeys = [...listKeys(publicKey, 'publicKey')]
  const platformKeys = profile === 'release' ? [...listKeys(platformKey, 'platformKey')] : []
  const version = options.rootVersion ?? 1
  const trust = await trustOf({ version, releaseKeys, platformKeys, revokedBundleIds: [] }).catch(rethrow)
  return {
    ...rest,
    profile,
    channel: options.channel ?? '',
    serverUrl: options.serverUrl === undefined ? '' : trimUrl(options.serverUrl),
    ...(options.staticUrl === undefined ? {} : { staticUrl: trimUrl(options.staticUrl) }),
    nativeVersion: `${options.appVersionName} (${options.appVersionCode})`,
    trust,
    transfer: { ...defaultTransfer, ...transfer },
  }
}
