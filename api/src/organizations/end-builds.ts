import { jobs, type Transaction } from '@capstan/migrations'
import { and, asc, eq, inArray } from 'drizzle-orm'

import type { Context } from '../context.js'
import { endAttempt } from '../jobs/end-attempt.js'

const ENDED = { code: 'organization-terminated', message: 'The organization was terminated.' }

/** Ends every unfinished build of the organization: none starts, and the lease of a running one is worth nothing. */
export async function endBuilds(tx: Transaction, ctx: Context, reason = ENDED): Promise<number> {
  const now = ctx.now()
  const waiting = await tx
    .update(jobs)
    .set({
      status: 'canceled',
      statusCode: reason.code,
      statusMessage: reason.message,
      cancelRequestedAt: now,
      finishedAt: now,
      updatedAt: now,
    })
    .where(and(eq(jobs.orgId, ctx.orgId), inArray(jobs.status, ['queued', 'pending'])))
    .returning({ id: jobs.id })
  const running = await tx
    .select()
    .from(jobs)
    .where(and(eq(jobs.orgId, ctx.orgId), eq(jobs.status, 'in_progress')))
    .orderBy(asc(jobs.id))
    .for('update')
  for (const job of running) await endAttempt(tx, ctx, job, { status: 'canceled', ...reason, retryable: false })
  return waiting.length + running.length
}
