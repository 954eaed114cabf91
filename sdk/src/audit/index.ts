/**
 * The offline verifier of audit exports. Runs on Node; shares nothing with the platform that wrote them but the format.
 *
 * @module
 */
export { AuditRefusal, type AuditRefusalCode } from './audit-refusal.js'
export { type CanonicalValue, parseCanonical } from './parse-canonical.js'
export { type Checkpoint, readCheckpoint } from './read-checkpoint.js'
export { type AuditExpectations, type AuditVerdict, verifyAuditExport } from './verify-export.js'
export { verifyConsistency, verifyInclusion } from './verify-proofs.js'
