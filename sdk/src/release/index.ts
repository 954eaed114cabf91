/**
 * Releases: keys, statements, signatures and the rules by which a device accepts them. FORMAT.md numbers the steps.
 *
 * @module
 */
export { decodeBase64, encodeBase64 } from './base64.js'
export { compareVersions } from './compare-versions.js'
export { type Envelope, openEnvelope, preAuthenticationEncoding, sealEnvelope, type Signer } from './envelope.js'
export { importPlatformSigner, importReleaseSigner } from './import-signer.js'
export { isInRollout, rolloutPosition } from './is-in-rollout.js'
export { parseChannelStatement, parseReleaseStatement, parseRootStatement } from './parse-statement.js'
export { type KeyAlgorithm, type PublicKey, readPlatformPublicKey, readReleasePublicKey } from './read-public-key.js'
export { ReleaseError, type ReleaseErrorCode } from './release-error.js'
export { signChannelStatement, signRelease, signRoot } from './sign-statement.js'
export {
  type ChannelStatement,
  channelStatementLifetimeMs,
  payloadTypes,
  type Platform,
  platforms,
  type ReleaseStatement,
  type RootStatement,
} from './statements.js'
export { importPlatformKey, importReleaseKey, type TrustedKey, verifySignature } from './trusted-key.js'
export { chooseStaticOffer, fitsVersionCodes } from './choose-static-offer.js'
export type { StaticChannel, StaticOffer, VersionCodes } from './static-channel.js'
export {
  type DeviceFacts,
  type SequenceFloor,
  type Trust,
  type VerifiedRelease,
  verifyArchiveBytes,
  verifyFiles,
  verifyRelease,
} from './verify-release.js'
export { trustOf, verifyNextRoot } from './verify-root.js'
export { useVerifier, type Verifier, type VerifierKey, webCryptoVerifier } from '../verifier/verifier.js'
