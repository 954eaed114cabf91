import { openEnvelope } from './envelope.js'
import { parseRootStatement } from './parse-statement.js'
import { ReleaseError } from './release-error.js'
import { payloadTypes, type RootStatement } from './statements.js'
import { importPlatformKey, importReleaseKey } from './trusted-key.js'
import type { Trust } from './verify-release.js'

/**
 * The keys of a root statement, imported under the key policy; no key has both roles.
 *
 * @throws {ReleaseError} `KEY_*`
 */
export async function trustOf(
  root: Pick<RootStatement, 'version' | 'releaseKeys' | 'platformKeys' | 'revokedBundleIds'>,
): Promise<Trust> {
  const releaseKeys = await Promise.all(root.releaseKeys.map(importReleaseKey))
  const platformKeys = await Promise.all(root.platformKeys.map(importPlatformKey))
  if (releaseKeys.some(({ keyId }) => platformKeys.some((key) => key.keyId === keyId))) {
    throw new ReleaseError('KEY_REUSED', 'One key has both roles; the release key must not be the platform key.')
  }
  return {
    releaseKeys,
    platformKeys,
    rootVersion: root.version,
    revokedBundleIds: root.revokedBundleIds,
  }
}

/**
 * Accepts the root statement that follows the trusted one: version one higher, same app, signed by a release key of
 * the trusted root and by a release key of its own.
 *
 * @throws {ReleaseError} `BAD_SIGNATURE`, `SIGNATURE_MISSING`, `WRONG_APP`, `ROOT_VERSION`, `KEY_*`, …
 */
export async function verifyNextRoot(
  envelope: unknown,
  trust: Trust,
  appId: string,
): Promise<{ root: RootStatement; trust: Trust }> {
  // [K1] somebody who does not hold a trusted key
  const { payload } = await openEnvelope(envelope, payloadTypes.root, trust.releaseKeys)
  const root = parseRootStatement(payload)
  // [K2] another app's root
  if (root.appId !== appId) throw new ReleaseError('WRONG_APP', 'The root statement is for another app.')
  // [K3] replay of an old root, or a skipped one
  if (root.version !== trust.rootVersion + 1) {
    throw new ReleaseError('ROOT_VERSION', `Root version ${root.version} does not follow ${trust.rootVersion}.`)
  }
  // [K4] keys that the policy refuses, or that nobody holds
  const next = await trustOf(root)
  await openEnvelope(envelope, payloadTypes.root, next.releaseKeys)
  return { root, trust: next }
}
