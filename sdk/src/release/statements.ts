import type { FileDigest } from '../archive/sha256.js'

/** DSSE payload types of the three statements. */
export const payloadTypes = {
  release: 'application/vnd.capstan.release+json',
  channel: 'application/vnd.capstan.channel+json',
  root: 'application/vnd.capstan.root+json',
} as const

/** Where a bundle runs. */
export type Platform = 'android' | 'ios' | 'web' | 'electron'

/** Every platform, in the order of their numbers in the device protocol. */
export const platforms: readonly Platform[] = ['android', 'ios', 'electron', 'web']

/** The longest life of a channel statement, in milliseconds. */
export const channelStatementLifetimeMs = 24 * 60 * 60 * 1000

/**
 * What a customer says about one release. Times are RFC 3339 in UTC, hashes SHA-256 in lower-case hex, sizes bytes.
 */
export interface ReleaseStatement {
  _type: 'capstan-release/v1'
  appId: string
  platforms: Platform[]
  channels: string[]
  /** The customer's name for the content; unique for each release. */
  bundleId: string
  /** Grows with every release of an app, channel and platform. */
  sequence: number
  createdAt: string
  expiresAt: string
  /** Lowest and highest native version that can run it, dotted numbers, inclusive; `null` is unbounded. */
  minNativeVersion: string | null
  maxNativeVersion: string | null
  /** The root statement that was current when it was signed. */
  rootVersion: number
  /** The bundle whose content this release brings back, when it is a deliberate rollback. */
  restores: string | null
  /** Free for build provenance; verified with the rest and not interpreted. */
  provenance: unknown
  archive: { sha256: string; size: number }
  /** Exactly the regular files of the archive. */
  files: FileDigest[]
}

/** What a platform says is current. */
export interface ChannelStatement {
  _type: 'capstan-channel/v1'
  appId: string
  channel: string
  platform: Platform
  /** SHA-256 of the payload of the release statement, and its sequence. */
  release: { sha256: string; sequence: number }
  /** Which devices take it: see `isInRollout`. `percentage` is 0 to 1. */
  rollout: { deploymentId: string; percentage: number }
  issuedAt: string
  /** At most 24 hours after `issuedAt`. */
  expiresAt: string
}

/** Which keys count, for both roles. Signed by a key of the root before it and by one of its own. */
export interface RootStatement {
  _type: 'capstan-root/v1'
  appId: string
  version: number
  createdAt: string
  /** SPKI PEM texts, one to three for each role. */
  releaseKeys: string[]
  platformKeys: string[]
  /** Bundles that must not be installed any more. */
  revokedBundleIds: string[]
}
