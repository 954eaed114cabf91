/**
 * Why a key, an envelope, a statement or a release is refused. The codes are stable and never renamed.
 */
export type ReleaseErrorCode =
  // the pinned key
  | 'KEY_NOT_PEM'
  | 'KEY_SEVERAL'
  | 'KEY_PRIVATE'
  | 'KEY_CERTIFICATE'
  | 'KEY_NOT_SPKI'
  | 'KEY_MALFORMED'
  | 'KEY_ALGORITHM'
  | 'KEY_SIZE'
  | 'KEY_EXPONENT'
  | 'KEY_REUSED'
  // what verifies
  | 'CRYPTO_UNAVAILABLE'
  // signatures and framing
  | 'SIGNATURE_MISSING'
  | 'BAD_SIGNATURE'
  | 'ENVELOPE_MALFORMED'
  | 'ENVELOPE_TYPE'
  | 'STATEMENT_MALFORMED'
  // what the statements say
  | 'STALE'
  | 'WRONG_APP'
  | 'WRONG_PLATFORM'
  | 'WRONG_CHANNEL'
  | 'WRONG_COMMIT'
  | 'WRONG_BUILDER'
  | 'NATIVE_INCOMPATIBLE'
  | 'RELEASE_MISMATCH'
  | 'ROOT_UNKNOWN'
  | 'REVOKED'
  | 'EXPIRED'
  | 'DOWNGRADE'
  | 'SEQUENCE_CONFLICT'
  | 'SEQUENCE_JUMP'
  // the bytes
  | 'SIZE_MISMATCH'
  | 'HASH_MISMATCH'
  | 'FILE_MISMATCH'
  | 'FILES_DIFFER'
  // root rotation
  | 'ROOT_VERSION'

/** Something was refused. `code` is stable; `message` is one sentence for people. */
export class ReleaseError extends Error {
  override name = 'ReleaseError' as const
  readonly code: ReleaseErrorCode

  constructor(code: ReleaseErrorCode, message: string) {
    super(message)
    this.code = code
  }
}
