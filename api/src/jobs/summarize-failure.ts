import { jobPhases, withOrg } from '@capstan/migrations'
import { and, desc, eq } from 'drizzle-orm'
import { type Context, requireScope } from '../context.js'
import { findJob } from './find-job.js'
import { readLogLines } from './read-log-lines.js'

const LAST_LINES = 15

/** Why a job did not succeed, from what was recorded: its reason, the phase that failed, the last lines of that phase. */
export async function summarizeFailure(ctx: Context, jobId: string): Promise<string> {
  requireScope(ctx, 'builds:read')
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const job = await findJob(tx, jobId)
    if (!job.finishedAt) return 'The job has not ended yet.'
    if (job.status === 'succeeded') return 'The job succeeded.'
    const [failed] = await tx
      .select()
      .from(jobPhases)
      .where(and(eq(jobPhases.jobId, jobId), eq(jobPhases.attempt, job.attempt), eq(jobPhases.state, 'failed')))
      .orderBy(desc(jobPhases.finishedAt))
      .limit(1)
    const lines = (await readLogLines(tx, jobId)).filter((line) => !failed || line.phase === failed.phase)
    const reason = job.statusMessage ?? `The job ended as "${job.status}".`
    return [
      job.statusCode ? `${reason} (${job.statusCode})` : reason,
      failed ? `Phase "${failed.phase}" failed${failed.detail ? `: ${failed.detail}` : '.'}` : '',
      lines.length > 0
        ? `Last lines:\n${lines
            .slice(-LAST_LINES)
            .map((line) => `  ${line.text}`)
            .join('\n')}`
        : '',
    ]
      .filter(Boolean)
      .join('\n')
  })
}
