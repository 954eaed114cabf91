import {
  decodeBase64,
  openEnvelope,
  parseReleaseStatement,
  payloadTypes,
  ReleaseError,
  type ReleaseStatement,
  type TrustedKey,
} from '@capstan/sdk/release'
import { sha256Hex } from '@capstan/sdk/archive'
import { Problem } from '../problems.js'

export type ReleaseClaims = { release: ReleaseStatement; sha256: string }

/** What a stored envelope says. Its signature was checked by `checkReleaseEnvelope` before it was stored. */
export async function readReleaseClaims(envelope: Record<string, unknown>): Promise<ReleaseClaims> {
  const payload = typeof envelope.payload === 'string' ? decodeBase64(envelope.payload) : null
  if (!payload) throw new Error('A stored release envelope is damaged.')
  return { release: parseReleaseStatement(payload), sha256: await sha256Hex(payload) }
}

/** Opens a release envelope as a device would: first the signature by a key of the app, then the statement. */
export async function checkReleaseEnvelope(
  envelope: unknown,
  keys: readonly TrustedKey[],
  expected: { appId: string; now: Date },
): Promise<ReleaseClaims> {
  if (keys.length === 0) {
    throw new Problem(
      'release-invalid',
      'Register the public key that signs this app’s releases first, then publish again.',
    )
  }
  try {
    const { payload, sha256 } = await openEnvelope(envelope, payloadTypes.release, keys)
    const release = parseReleaseStatement(payload)
    if (release.appId !== expected.appId) throw new ReleaseError('WRONG_APP', 'The release is for another app.')
    if (Date.parse(release.expiresAt) <= expected.now.getTime()) {
      throw new ReleaseError('EXPIRED', `The release expired at ${release.expiresAt}. Sign it again.`)
    }
    return { release, sha256 }
  } catch (error) {
    if (error instanceof ReleaseError) throw new Problem('release-invalid', `${error.message} (${error.code})`)
    throw error
  }
}
