/** Why an audit export is not what the platform wrote. The codes are stable and never renamed. */
export type AuditRefusalCode =
  | 'LINE_MALFORMED'
  | 'NOT_CANONICAL'
  | 'EVENT_MALFORMED'
  | 'HASH_MISMATCH'
  | 'SEQ_MISMATCH'
  | 'PREV_MISMATCH'
  | 'ORG_MISMATCH'
  | 'TIME_WENT_BACK'
  | 'TOO_SHORT'
  | 'HEAD_MISMATCH'
  | 'CHECKPOINT_MALFORMED'
  | 'CHECKPOINT_SIGNATURE'
  | 'CHECKPOINT_ORIGIN'
  | 'ROOT_MISMATCH'
  | 'PROOF_MISMATCH'
  | 'PERSONAL_MISMATCH'

/** Thrown inside the verifier; callers get it as part of a verdict. */
export class AuditRefusal extends Error {
  override name = 'AuditRefusal' as const
  readonly code: AuditRefusalCode

  constructor(code: AuditRefusalCode, message: string) {
    super(message)
    this.code = code
  }
}
