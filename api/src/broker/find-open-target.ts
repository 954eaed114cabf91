import { builds, credentials, credentialVersions, jobs, leases, type Transaction } from '@capstan/migrations'
import type { OpenCredentialRequest } from '@capstan/migrations/messages'
import { and, eq } from 'drizzle-orm'

/** Why a credential is not opened. For the log and the audit trail; the caller always sees the same answer. */
export type RefusalReason =
  | 'lease-ended'
  | 'lease-expired'
  | 'job-not-running'
  | 'cancel-requested'
  | 'attempt-superseded'
  | 'attempt-differs'
  | 'credential-not-chosen'
  | 'credential-of-another-app'
  | 'credential-deleted'
  | 'credential-version-retired'
  | 'already-opened'

export type LeaseFacts = {
  leaseId: string
  buildId: string
  jobId: string
  appId: string
  attempt: number
  workerId: string
  workerName: string
}
export type OpenTarget = LeaseFacts & {
  credential: typeof credentials.$inferSelect
  version: typeof credentialVersions.$inferSelect & { envelope: Uint8Array }
}
export type OpenDecision =
  | { lease: LeaseFacts | null; refusal: RefusalReason }
  | { lease: LeaseFacts; refusal: null; target: OpenTarget }

/** Decides from Postgres alone whether this lease may open this credential; what the worker says is only compared. */
export async function findOpenTarget(
  tx: Transaction,
  tokenHash: string,
  request: OpenCredentialRequest,
  now: () => Date,
): Promise<OpenDecision> {
  const attempt = await lockAttempt(tx, tokenHash)
  if (attempt === null) return { lease: null, refusal: 'lease-ended' }
  const { lease, job, build } = attempt
  const facts: LeaseFacts = {
    leaseId: lease.id,
    buildId: lease.buildId,
    jobId: lease.jobId,
    appId: build.appId,
    attempt: lease.attempt,
    workerId: lease.workerId,
    workerName: lease.workerName,
  }
  const refuse = (refusal: RefusalReason) => ({ lease: facts, refusal })
  if (lease.endedAt !== null) return refuse('lease-ended')
  if (lease.expiresAt <= now()) return refuse('lease-expired')
  if (job.status !== 'in_progress') return refuse('job-not-running')
  if (job.attempt !== lease.attempt) return refuse('attempt-superseded')
  if (job.cancelRequestedAt !== null) return refuse('cancel-requested')
  if (request.attempt !== lease.attempt) return refuse('attempt-differs')
  if (build.credentialId !== request.credentialId || build.credentialVersion !== request.credentialVersion) {
    return refuse('credential-not-chosen')
  }
  const [found] = await tx
    .select({ credential: credentials, version: credentialVersions })
    .from(credentials)
    .innerJoin(
      credentialVersions,
      and(eq(credentialVersions.credentialId, credentials.id), eq(credentialVersions.orgId, credentials.orgId)),
    )
    .where(and(eq(credentials.id, request.credentialId), eq(credentialVersions.version, request.credentialVersion)))
  if (found === undefined) return refuse('credential-deleted')
  if (found.credential.appId !== build.appId) return refuse('credential-of-another-app')
  const { credential, version } = found
  const { envelope, status } = version
  // A build in flight keeps the version it was given while that one retires.
  if (envelope === null || (status !== 'active' && status !== 'retiring')) return refuse('credential-version-retired')
  return { lease: facts, refusal: null, target: { ...facts, credential, version: { ...version, envelope } } }
}

/**
 * The attempt behind a lease token, its rows locked until the transaction ends: whoever ends the attempt in the same
 * instant comes before, and is seen here, or after the opening. The job is locked first, as everywhere.
 */
async function lockAttempt(tx: Transaction, tokenHash: string) {
  const [known] = await tx.select({ jobId: leases.jobId }).from(leases).where(eq(leases.tokenHash, tokenHash))
  if (known === undefined) return null
  const [job] = await tx.select().from(jobs).where(eq(jobs.id, known.jobId)).for('share')
  const [lease] = await tx.select().from(leases).where(eq(leases.tokenHash, tokenHash)).for('share')
  if (job === undefined || lease === undefined) return null
  const [build] = await tx.select().from(builds).where(eq(builds.id, lease.buildId))
  return build === undefined ? null : { lease, job, build }
}
