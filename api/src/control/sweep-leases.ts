import { leases, newId, withOrg } from '@capstan/migrations'
import { and, eq, isNull, lt, sql } from 'drizzle-orm'
import { deleteDiscarded } from '../jobs/delete-discarded.js'
import { endAttempt } from '../jobs/end-attempt.js'
import { lockAttempt } from '../jobs/lock-attempt.js'
import { ringLogBell } from '../jobs/ring-log-bell.js'
import type { ControlDeps } from './control-deps.js'

/** Ends attempts whose worker stopped sending heartbeats: once more for another worker, then for good. */
export async function sweepLeases(deps: ControlDeps): Promise<number> {
  const expired = await deps.db
    .select({ id: leases.id, orgId: leases.orgId, jobId: leases.jobId, attempt: leases.attempt })
    .from(leases)
    .where(and(isNull(leases.endedAt), lt(leases.expiresAt, deps.now())))
  let ended = 0
  for (const lease of expired) if (await endLost(deps, lease)) ended += 1
  return ended
}

type ExpiredLease = { id: string; orgId: string; jobId: string; attempt: number }

async function endLost(deps: ControlDeps, lease: ExpiredLease): Promise<boolean> {
  const outcome = await withOrg(deps.db, lease.orgId, async (tx) => {
    const job = await lockAttempt(tx, lease)
    // Looked at again under the lock: a heartbeat may have come in between.
    const [stillExpired] = await tx
      .update(leases)
      .set({ endedAt: sql`now()` })
      .where(and(eq(leases.id, lease.id), isNull(leases.endedAt), lt(leases.expiresAt, deps.now())))
      .returning({ workerName: leases.workerName })
    if (!job || !stillExpired) return null
    const by = { orgId: lease.orgId, actor: { type: 'system', id: 'control' } as const, requestId: newId() }
    return endAttempt(tx, by, job, {
      status: 'failed',
      code: 'worker-lost',
      message: `The worker "${stillExpired.workerName}" stopped answering.`,
      retryable: true,
    })
  })
  if (!outcome) return false
  const { job, discardedKeys } = outcome
  deps.log.warn({ buildId: job.buildId, attempt: lease.attempt, status: job.status }, 'a worker was lost')
  ringLogBell(deps.redis, job.id, job.nextLogNumber - 1)
  await deleteDiscarded(deps.objects, deps.log, discardedKeys)
  return true
}
