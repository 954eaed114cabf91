import { type FileDigest, sha256Hex } from '../archive/sha256.js'
import { compareVersions } from './compare-versions.js'
import { openEnvelope } from './envelope.js'
import { parseChannelStatement, parseReleaseStatement } from './parse-statement.js'
import { ReleaseError, type ReleaseErrorCode } from './release-error.js'
import { type ChannelStatement, payloadTypes, type Platform, type ReleaseStatement } from './statements.js'
import type { TrustedKey } from './trusted-key.js'

/** How far ahead of the device a platform's clock may be, in milliseconds. */
const clockSkewMs = 5 * 60 * 1000
/** A jump of the sequence beyond this would make every honest release after it a downgrade. */
const maximumSequenceJump = 1_000_000

/** Whom a device believes. */
export interface Trust {
  releaseKeys: readonly TrustedKey[]
  platformKeys: readonly TrustedKey[]
  rootVersion: number
  revokedBundleIds: readonly string[]
}

/** The highest release a device has accepted on an app, channel and platform. `releaseId` is `null` for a compiled-in floor. */
export interface SequenceFloor {
  sequence: number
  releaseId: string | null
}

/** What a device knows about itself; `now` is milliseconds since 1970. */
export interface DeviceFacts {
  appId: string
  platform: Platform
  channel: string
  nativeVersion: string
  now: number
  floor: SequenceFloor | null
}

/** A release that may be downloaded. `releaseId` is the SHA-256 of its statement. */
export interface VerifiedRelease {
  release: ReleaseStatement
  channel: ChannelStatement
  releaseId: string
}

function refuse(code: ReleaseErrorCode, message: string): never {
  throw new ReleaseError(code, message)
}

function checkBinding(release: ReleaseStatement, channel: ChannelStatement, device: DeviceFacts): void {
  // [R4] cross-app replay
  if (release.appId !== device.appId || channel.appId !== device.appId) {
    refuse('WRONG_APP', 'The release is for another app.')
  }
  // [R5] cross-platform replay
  if (!release.platforms.includes(device.platform) || channel.platform !== device.platform) {
    refuse('WRONG_PLATFORM', `The release is not for ${device.platform}.`)
  }
  // [R6] cross-channel replay
  if (!release.channels.includes(device.channel) || channel.channel !== device.channel) {
    refuse('WRONG_CHANNEL', 'The release is not for this channel.')
  }
  // [R7] native code that cannot run it; a version that cannot be compared does not fit
  const { minNativeVersion, maxNativeVersion } = release
  const above = minNativeVersion === null ? 0 : compareVersions(device.nativeVersion, minNativeVersion)
  const below = maxNativeVersion === null ? 0 : compareVersions(maxNativeVersion, device.nativeVersion)
  if (above === null || below === null || above < 0 || below < 0) {
    refuse('NATIVE_INCOMPATIBLE', `The release is not for native version ${device.nativeVersion}.`)
  }
}

function checkSequence(release: ReleaseStatement, releaseId: string, floor: SequenceFloor | null): void {
  if (floor === null) return
  // [R11] downgrade, equivocation, fast-forward
  if (release.sequence < floor.sequence) {
    refuse('DOWNGRADE', `Release ${release.sequence} is older than ${floor.sequence}, which this device has seen.`)
  }
  if (release.sequence === floor.sequence && floor.releaseId !== null && floor.releaseId !== releaseId) {
    refuse('SEQUENCE_CONFLICT', `Another release already has the number ${release.sequence}.`)
  }
  if (release.sequence - floor.sequence > maximumSequenceJump && floor.sequence > 0) {
    refuse('SEQUENCE_JUMP', `Release ${release.sequence} is too far ahead of ${floor.sequence}.`)
  }
}

/**
 * Decides whether a device may take a release, from the two envelopes alone and without I/O. The steps are numbered in
 * FORMAT.md and run in that order; nothing of a statement is parsed before its signature is checked.
 *
 * @throws {ReleaseError} with the code of the first step that refuses
 */
export async function verifyRelease(
  envelopes: { release: unknown; channelStatement: unknown },
  trust: Trust,
  device: DeviceFacts,
): Promise<VerifiedRelease> {
  // [R1] the customer's key signed exactly this statement
  const signed = await openEnvelope(envelopes.release, payloadTypes.release, trust.releaseKeys)
  // [R2] the platform's key signed exactly this statement
  const current = await openEnvelope(envelopes.channelStatement, payloadTypes.channel, trust.platformKeys)
  const release = parseReleaseStatement(signed.payload)
  const channel = parseChannelStatement(current.payload)
  // [R3] freeze
  if (device.now >= Date.parse(channel.expiresAt) || device.now < Date.parse(channel.issuedAt) - clockSkewMs) {
    refuse(
      'STALE',
      'The statement about the current release is not fresh; nothing is installed until a fresh one arrives.',
    )
  }
  checkBinding(release, channel, device)
  // [R8] mix-and-match of the two statements
  if (channel.release.sha256 !== signed.sha256 || channel.release.sequence !== release.sequence) {
    refuse('RELEASE_MISMATCH', 'The platform names another release than the one it sent.')
  }
  // [R9] keys or revocations this device has not learned yet
  if (release.rootVersion > trust.rootVersion) refuse('ROOT_UNKNOWN', 'The release needs a newer root statement.')
  if (trust.revokedBundleIds.includes(release.bundleId)) refuse('REVOKED', `Bundle ${release.bundleId} is revoked.`)
  // [R10] expiry
  if (device.now >= Date.parse(release.expiresAt)) refuse('EXPIRED', `The release expired at ${release.expiresAt}.`)
  checkSequence(release, signed.sha256, device.floor)
  return { release, channel, releaseId: signed.sha256 }
}

/**
 * Checks downloaded bytes against the signed size and hash, before anything reads them.
 *
 * @throws {ReleaseError} `SIZE_MISMATCH`, `HASH_MISMATCH`
 */
export async function verifyArchiveBytes(release: ReleaseStatement, bytes: Uint8Array): Promise<void> {
  // [R13] endless or partial download
  if (bytes.length !== release.archive.size) {
    refuse('SIZE_MISMATCH', `The archive has ${bytes.length} bytes instead of ${release.archive.size}.`)
  }
  // [R14] other bytes
  if ((await sha256Hex(bytes)) !== release.archive.sha256) refuse('HASH_MISMATCH', 'The archive is not the signed one.')
}

/**
 * Checks what an archive unpacked to against the signed list: every file as signed, none missing, none more.
 *
 * @throws {ReleaseError} `FILE_MISMATCH`, `FILES_DIFFER`
 */
export function verifyFiles(release: { files: readonly FileDigest[] }, files: readonly FileDigest[]): void {
  const signed = new Map(release.files.map((file) => [file.path, file]))
  // [R16] a file of other content
  for (const file of files) {
    const expected = signed.get(file.path)
    if (expected && (expected.sha256 !== file.sha256 || expected.size !== file.size)) {
      refuse('FILE_MISMATCH', 'A file of the archive is not the signed one.')
    }
  }
  // [R17] a file more or less
  if (files.length !== signed.size || files.some((file) => !signed.has(file.path))) {
    refuse('FILES_DIFFER', 'The archive does not hold exactly the signed files.')
  }
}
