import { ArchiveError, type ArchiveErrorCode } from '../archive/archive-error.js'
import type { PatchErrorCode } from '../delta/patch-error.js'
import { ReleaseError, type ReleaseErrorCode } from '../release/index.js'

/** Why a live update was refused or could not be done. The codes are stable and never renamed. */
export type LiveUpdateErrorCode =
  | ReleaseErrorCode
  | ArchiveErrorCode
  | PatchErrorCode
  /** An option is missing or contradicts another. */
  | 'CONFIG'
  /** An address is neither https nor a loopback address. */
  | 'INSECURE_URL'
  /** No answer, or the connection broke. */
  | 'NETWORK'
  /** A transfer was slower than allowed, or took longer than allowed. */
  | 'TOO_SLOW'
  /** The server answered with a status that is neither success nor "no update". */
  | 'SERVER_REFUSED'
  /** The server's answer is not what the protocol says. */
  | 'ANSWER_MALFORMED'
  /** The bundle has no index.html. */
  | 'INDEX_MISSING'
  /** The bundle failed on this device before. */
  | 'BLOCKED'
  /** Another sync of this client is running. */
  | 'BUSY'
  /** `ready` was called for another launch. */
  | 'NONCE_MISMATCH'
  /** The device's storage refused; nothing was lost. */
  | 'STORAGE'

/** The one error of the live-update client. What ran before keeps running. */
export class LiveUpdateError extends Error {
  override name = 'LiveUpdateError' as const
  readonly code: LiveUpdateErrorCode

  constructor(code: LiveUpdateErrorCode, message: string, options?: { cause: unknown }) {
    super(message, options)
    this.code = code
  }
}

/** Any error as a `LiveUpdateError`; what is not ours came from the device's storage. */
export function toLiveUpdateError(error: unknown): LiveUpdateError {
  if (error instanceof LiveUpdateError) return error
  if (error instanceof ReleaseError || error instanceof ArchiveError) {
    return new LiveUpdateError(error.code, error.message, { cause: error })
  }
  const reason = error instanceof Error ? error.message : 'unknown reason'
  return new LiveUpdateError('STORAGE', `The update could not be stored: ${reason}`, { cause: error })
}
