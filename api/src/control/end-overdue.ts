import { builds, jobs, newId, sourcesOf, withOrg } from '@capstan/migrations'
import { and, eq, inArray, lt, or, sql } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { deleteDiscarded } from '../jobs/delete-discarded.js'
import { endAttempt } from '../jobs/end-attempt.js'
import { ringLogBell } from '../jobs/ring-log-bell.js'
import type { ControlDeps } from './control-deps.js'

const MINUTE_MS = 60_000
const JOBS_AT_ONCE = 500
/** A worker ends a build at its limit; only one that does not is overdue. */
const GRACE_MS = 5 * MINUTE_MS
const WAITS_AT_MOST_MS = 24 * 60 * MINUTE_MS

type Overdue = { id: string; orgId: string; inProgressAt: Date | null }

/** Ends builds that have waited for a day, and builds that a worker keeps alive beyond their time. */
export async function endOverdue(deps: ControlDeps): Promise<number> {
  const now = deps.now().getTime()
  const found: Overdue[] = await deps.db
    .select({ id: jobs.id, orgId: jobs.orgId, inProgressAt: jobs.inProgressAt })
    .from(jobs)
    .where(
      or(
        and(inArray(jobs.status, ['queued', 'pending']), lt(jobs.queuedAt, new Date(now - WAITS_AT_MOST_MS))),
        and(eq(jobs.status, 'in_progress'), lt(jobs.inProgressAt, new Date(now - MINUTE_MS - GRACE_MS))),
      ),
    )
    .limit(JOBS_AT_ONCE)
  let ended = 0
  for (const job of found) {
    if (await (job.inProgressAt === null ? giveUpWaiting(deps, job) : endRunning(deps, job))) ended += 1
  }
  return ended
}

const by = (orgId: string) => ({ orgId, actor: { type: 'system', id: 'control' } as const, requestId: newId() })

async function giveUpWaiting(deps: ControlDeps, { id, orgId }: Overdue): Promise<boolean> {
  const statusMessage = 'No worker was free for this build for 24 hours. Request it again once one is.'
  const job = await withOrg(deps.db, orgId, async (tx) => {
    const [rejected] = await tx
      .update(jobs)
      .set({ status: 'rejected', statusCode: 'queue-timeout', statusMessage, finishedAt: sql`now()` })
      .where(and(eq(jobs.id, id), inArray(jobs.status, sourcesOf('rejected'))))
      .returning()
    if (!rejected) return null
    await recordAudit(tx, by(orgId), {
      action: 'build.rejected',
      target: { app: rejected.appId, build: rejected.buildId, job: id },
      data: { code: 'queue-timeout' },
    })
    return rejected
  })
  if (job) ringLogBell(deps.redis, job.id, job.nextLogNumber - 1)
  return job !== null
}

async function endRunning(deps: ControlDeps, { id, orgId }: Overdue): Promise<boolean> {
  const outcome = await withOrg(deps.db, orgId, async (tx) => {
    const [job] = await tx
      .select()
      .from(jobs)
      .where(and(eq(jobs.id, id), eq(jobs.status, 'in_progress')))
      .for('update')
    if (!job?.inProgressAt) return null
    const [build] = await tx.select({ minutes: builds.timeoutMinutes }).from(builds).where(eq(builds.id, job.buildId))
    const limitMs = (build?.minutes ?? 60) * MINUTE_MS
    if (job.inProgressAt.getTime() + limitMs + GRACE_MS > deps.now().getTime()) return null
    const message = `The build took longer than its ${limitMs / MINUTE_MS} minutes.`
    return endAttempt(tx, by(orgId), job, { status: 'timed_out', code: 'timed-out', message, retryable: false })
  })
  if (!outcome) return false
  deps.log.warn({ buildId: outcome.job.buildId }, 'a build was ended that its worker did not end in time')
  ringLogBell(deps.redis, outcome.job.id, outcome.job.nextLogNumber - 1)
  await deleteDiscarded(deps.objects, deps.log, outcome.discardedKeys)
  return true
}
