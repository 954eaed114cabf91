import { type jobs, leases, type Transaction } from '@capstan/migrations'
import { and, eq, gt, isNull } from 'drizzle-orm'
import type { Lease } from '../auth/worker-access.js'
import type { Context } from '../context.js'
import { lockAttempt } from '../jobs/lock-attempt.js'
import { Problem } from '../problems.js'

/**
 * The fence: first line of every write of a worker. Locks the job while this lease is live and its attempt is the
 * current one; a zombie, a worker that was slow or an attempt that was ended are refused in the same transaction.
 */
export async function holdLease(tx: Transaction, ctx: Context, lease: Lease): Promise<typeof jobs.$inferSelect> {
  const job = await lockAttempt(tx, lease)
  const [live] = job
    ? await tx
        .select({ id: leases.id })
        .from(leases)
        .where(and(eq(leases.id, lease.id), isNull(leases.endedAt), gt(leases.expiresAt, ctx.now())))
    : []
  if (!job || !live) throw new Problem('lease-lost', 'This attempt of the build is no longer yours; stop and clean up.')
  return job
}
