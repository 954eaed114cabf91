import { type jobs, type LogLine, withOrg } from '@capstan/migrations'
import { type Context, requireScope } from '../context.js'
import { findJob } from './find-job.js'
import { readLogLines } from './read-log-lines.js'

type Job = typeof jobs.$inferSelect

export async function getJob(
  ctx: Context,
  jobId: string,
  relations: ReadonlySet<string>,
): Promise<{ job: Job; lines: LogLine[] | undefined }> {
  requireScope(ctx, 'builds:read')
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    // Status before lines: lines are written before the job ends, so a finished job is never shown without its last.
    const job = await findJob(tx, jobId)
    return { job, lines: relations.has('jobLogs') ? await readLogLines(tx, jobId) : undefined }
  })
}
