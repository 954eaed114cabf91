import { findOrgOf, jobs, withOrg } from '@capstan/migrations'
import type { WaitingReport } from '@capstan/migrations/messages'
import { and, eq, inArray, sql } from 'drizzle-orm'
import type { Deps } from '../context.js'
import { appendLogLines, platformBatch } from '../jobs/append-log-lines.js'
import { ringLogBell } from '../jobs/ring-log-bell.js'
import { toStorable } from '../jobs/storable-text.js'
import { Problem } from '../problems.js'

export type ReportWaiting = { buildId: string; report: WaitingReport }

/** Says on the job, and once in its log, why a build that was delivered does not start. */
export async function reportWaiting(deps: Deps, { buildId, report }: ReportWaiting): Promise<void> {
  const orgId = await findOrgOf(deps.db, 'build', buildId)
  if (!orgId) throw new Problem('not-found')
  const job = await withOrg(deps.db, orgId, async (tx) => {
    const [waiting] = await tx
      .update(jobs)
      .set({ statusCode: report.code, statusMessage: toStorable(report.message), updatedAt: sql`now()` })
      .where(and(eq(jobs.buildId, buildId), inArray(jobs.status, ['queued', 'pending'])))
      .returning()
    if (!waiting) throw new Problem('build-not-claimable', 'The build is not waiting for a worker.')
    const line = { at: deps.now().toISOString(), phase: 'prepare', text: `Waiting: ${report.message}` }
    const { id: jobId, attempt } = waiting
    await appendLogLines(tx, { orgId, jobId, attempt, batch: platformBatch.waiting, lines: [line] })
    return waiting
  })
  ringLogBell(deps.redis, job.id, job.nextLogNumber)
}
