import { builds, jobs, leases, type Transaction } from '@capstan/migrations'
import { eq } from 'drizzle-orm'

import { isBound } from '../auth/bind-lease.js'
import type { BrokerDeps } from './broker-deps.js'

/** Why a lease opens nothing. */
export type LeaseRefusal =
  | 'lease-altered'
  | 'lease-ended'
  | 'lease-expired'
  | 'job-not-running'
  | 'cancel-requested'
  | 'attempt-superseded'
  | 'attempt-differs'

export type LeaseFacts = {
  leaseId: string
  buildId: string
  jobId: string
  appId: string
  attempt: number
  workerId: string
  workerName: string
}

export type LockedLease = {
  facts: LeaseFacts
  lease: typeof leases.$inferSelect
  job: typeof jobs.$inferSelect
  build: typeof builds.$inferSelect
}

/**
 * The attempt behind a lease token, its rows locked until the transaction ends: whoever ends the attempt in the same
 * instant comes before, and is seen here, or after the opening. The job is locked first, as everywhere.
 */
export async function lockLease(tx: Transaction, tokenHash: string): Promise<LockedLease | null> {
  const [known] = await tx.select({ jobId: leases.jobId }).from(leases).where(eq(leases.tokenHash, tokenHash))
  if (known === undefined) return null
  const [job] = await tx.select().from(jobs).where(eq(jobs.id, known.jobId)).for('share')
  const [lease] = await tx.select().from(leases).where(eq(leases.tokenHash, tokenHash)).for('share')
  if (job === undefined || lease === undefined) return null
  const [build] = await tx.select().from(builds).where(eq(builds.id, lease.buildId))
  if (build === undefined) return null
  const facts: LeaseFacts = {
    leaseId: lease.id,
    buildId: lease.buildId,
    jobId: lease.jobId,
    appId: build.appId,
    attempt: lease.attempt,
    workerId: lease.workerId,
    workerName: lease.workerName,
  }
  return { facts, lease, job, build }
}

/** From Postgres alone: what the worker says of its attempt is only compared. */
export function judgeLease(
  { pepper, now }: Pick<BrokerDeps, 'pepper' | 'now'>,
  { lease, job, build }: LockedLease,
  claimedAttempt: number,
): LeaseRefusal | null {
  // Whoever can write to the database could make a lease out of a token of its own and another organization's build.
  if (!isBound(pepper, lease, build)) return 'lease-altered'
  if (lease.endedAt !== null) return 'lease-ended'
  if (lease.expiresAt <= now()) return 'lease-expired'
  if (job.status !== 'in_progress') return 'job-not-running'
  if (job.attempt !== lease.attempt) return 'attempt-superseded'
  if (job.cancelRequestedAt !== null) return 'cancel-requested'
  if (claimedAttempt !== lease.attempt) return 'attempt-differs'
  return null
}
