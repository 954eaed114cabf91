import { finishedStatuses, jobs, withOrg, type Transaction } from '@capstan/migrations'
import { and, eq, inArray, isNull, sql } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import { findJob } from './find-job.js'
import { ringLogBell } from './ring-log-bell.js'

type Job = typeof jobs.$inferSelect

/**
 * Ends a job that no worker has, and asks the worker of a running one to stop: it learns so at its next heartbeat and
 * reports the end itself. Asking again changes nothing.
 */
export async function cancelJob(ctx: Context, jobId: string): Promise<Job> {
  requireScope(ctx, 'builds:write')
  const job = await withOrg(ctx.db, ctx.orgId, async (tx) => {
    // Held before it is looked at: an attempt that ends meanwhile would be neither waiting nor running.
    await tx.select({ id: jobs.id }).from(jobs).where(eq(jobs.id, jobId)).for('update')
    const canceled = (await cancelWaiting(tx, jobId)) ?? (await askRunning(tx, jobId))
    if (canceled) {
      await recordAudit(tx, ctx, {
        action: canceled.finishedAt ? 'build.canceled' : 'build.cancel_requested',
        target: { app: canceled.appId, build: canceled.buildId, job: jobId },
        data: { attempt: canceled.attempt },
      })
      return canceled
    }
    return explainUnchanged(await findJob(tx, jobId))
  })
  ringLogBell(ctx.redis, jobId, job.nextLogNumber - 1)
  return job
}

async function cancelWaiting(tx: Transaction, jobId: string): Promise<Job | undefined> {
  const [job] = await tx
    .update(jobs)
    .set({
      status: 'canceled',
      statusCode: 'canceled',
      statusMessage: 'The build was canceled before it started.',
      cancelRequestedAt: sql`now()`,
      finishedAt: sql`now()`,
      updatedAt: sql`now()`,
    })
    .where(and(eq(jobs.id, jobId), inArray(jobs.status, ['queued', 'pending'])))
    .returning()
  return job
}

async function askRunning(tx: Transaction, jobId: string): Promise<Job | undefined> {
  const [job] = await tx
    .update(jobs)
    .set({ cancelRequestedAt: sql`now()`, updatedAt: sql`now()` })
    .where(and(eq(jobs.id, jobId), eq(jobs.status, 'in_progress'), isNull(jobs.cancelRequestedAt)))
    .returning()
  return job
}

function explainUnchanged(job: Job): Job {
  if (job.status === 'canceled' || !finishedStatuses.includes(job.status)) return job
  throw new Problem('job-transition-refused', `The job has ended already (${job.status}); it cannot be canceled.`)
}
