import { jobPhases, withOrg } from '@capstan/migrations'
import { and, desc, eq } from 'drizzle-orm'
import { type Context, requireScope } from '../context.js'
import { findJob } from './find-job.js'
import { readLogBackwards } from './read-log.js'

const LAST_LINES = 15
/** A phase that printed nothing is not looked for through a whole log. */
const LAST_PAGES = 10

/** Why a job did not succeed, from what was recorded: its reason, the phase that failed, the last lines of that phase. */
export async function summarizeFailure(ctx: Context, jobId: string): Promise<string> {
  requireScope(ctx, 'builds:read')
  const { job, failed } = await withOrg(ctx.db, ctx.orgId, async (tx) => {
    const found = await findJob(tx, jobId)
    const [phase] = await tx
      .select()
      .from(jobPhases)
      .where(and(eq(jobPhases.jobId, jobId), eq(jobPhases.attempt, found.attempt), eq(jobPhases.state, 'failed')))
      .orderBy(desc(jobPhases.finishedAt))
      .limit(1)
    return { job: found, failed: phase }
  })
  if (!job.finishedAt) return 'The job has not ended yet.'
  if (job.status === 'succeeded') return 'The job succeeded.'
  const lines = await lastLines(ctx, jobId, failed?.phase)
  const reason = job.statusMessage ?? `The job ended as "${job.status}".`
  return [
    job.statusCode ? `${reason} (${job.statusCode})` : reason,
    failed ? `Phase "${failed.phase}" failed${failed.detail ? `: ${failed.detail}` : '.'}` : '',
    lines.length > 0 ? `Last lines:\n${lines.map((text) => `  ${text}`).join('\n')}` : '',
  ]
    .filter(Boolean)
    .join('\n')
}

async function lastLines(ctx: Context, jobId: string, phase: string | undefined): Promise<string[]> {
  const lines: string[] = []
  let pages = 0
  for await (const page of readLogBackwards(ctx, jobId)) {
    const own = page.filter((line) => phase === undefined || line.phase === phase)
    lines.unshift(...own.slice(-LAST_LINES).map(({ text }) => text))
    pages += 1
    if (lines.length >= LAST_LINES || pages === LAST_PAGES) break
  }
  return lines.slice(-LAST_LINES)
}
