import type { compareVersions } from './compare-versions.js'
import type { Envelope } from './envelope.js'
import type { isInRollout } from './is-in-rollout.js'
import type { Platform } from './statements.js'

// Nothing but types is imported: code shared with the core would be split out of it and make every start larger.

/**
 * What is current on one channel and platform, as an object that a CDN can serve. Other objects are named in it by the
 * SHA-256 of their bytes, in lower-case hex. It is not signed: what it may bring about is said in FORMAT.md.
 */
export interface StaticChannel {
  _type: 'capstan-static/v1'
  appId: string
  channel: string
  platform: Platform
  /** When the channel ends, RFC 3339; `null`: it does not. */
  expiresAt: string | null
  /** Every root statement of the app, oldest first. */
  roots: { version: number; sha256: string }[]
  /** The current deployment first, then those that a device outside its rollout gets. */
  offers: StaticOffer[]
}

/** One deployment, as a device meets it. */
export interface StaticOffer {
  rollout: { deploymentId: string; percentage: number }
  versionCodes: VersionCodes
  bundleId: string
  /** Where the customer keeps the content; `null`: beside this object. */
  url: string | null
  /** SHA-256 of the zip; `null` where there is none: such a bundle has no release either. */
  archive: string | null
  /** The release envelope; `null` when the bundle has none. */
  release: string | null
  channelStatement: Envelope | null
  patches: { fromBundleId: string; from: string; sha256: string; sizeBytes: number }[]
}

/** Version codes of the native app that a bundle is for: `min` and `max` inclusive; `eq` is one that it does not support. */
export interface VersionCodes {
  min?: string
  max?: string
  eq?: string
}

/** What a choice is made by. */
export interface ChoiceRules {
  isInRollout: typeof isInRollout
  compareVersions: typeof compareVersions
}

/** Whether a version code is in range, as `compare` compares. */
export function isInRange(code: string, { min, max, eq }: VersionCodes, compare: typeof compareVersions): boolean {
  if (min === undefined && max === undefined && eq === undefined) return true
  if (compare(code, '0') === null) return false
  const above = min === undefined || (compare(code, min) ?? -1) >= 0
  const below = max === undefined || (compare(code, max) ?? 1) <= 0
  const other = eq === undefined || (compare(code, eq) ?? 0) !== 0
  return above && below && other
}

/** `chooseStaticOffer`, by rules that are given to it. */
export async function chooseOffer(
  channel: Pick<StaticChannel, 'expiresAt' | 'offers'>,
  device: { deviceId: string; versionCode: string; now: number },
  rules: ChoiceRules,
): Promise<StaticOffer | null> {
  // [S3] a channel that has ended
  if (channel.expiresAt !== null && !(Date.parse(channel.expiresAt) > device.now)) return null
  for (const offer of channel.offers) {
    // [S4] the stable hash that the server uses
    if (!(await rules.isInRollout(device.deviceId, offer.rollout))) continue
    // [S5] not an older one either: it would not be what the channel means for this version
    return isInRange(device.versionCode, offer.versionCodes, rules.compareVersions) ? offer : null
  }
  return null
}
