import { type LogLine, withOrg } from '@capstan/migrations'
import { type Context, requireScope } from '../context.js'
import { findJob } from './find-job.js'
import { readLogLines } from './read-log-lines.js'

export type ListLogLines = { jobId: string; after: number }

export async function listLogLines(ctx: Context, { jobId, after }: ListLogLines): Promise<LogLine[]> {
  requireScope(ctx, 'builds:read')
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    await findJob(tx, jobId)
    return readLogLines(tx, jobId, after)
  })
}
