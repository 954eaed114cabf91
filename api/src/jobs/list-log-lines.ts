import { type LogLine, withOrg } from '@capstan/migrations'
import { whileAdmitted } from '../auth/while-admitted.js'
import { type Context, requireScope } from '../context.js'
import { findJob } from './find-job.js'
import { readLog } from './read-log.js'

export type ListLogLines = { jobId: string; after: number }

/** Lines after number `after`, page by page. */
export async function listLogLines(ctx: Context, { jobId, after }: ListLogLines): Promise<AsyncGenerator<LogLine[]>> {
  requireScope(ctx, 'builds:read')
  await withOrg(ctx.db, ctx.orgId, (tx) => findJob(tx, jobId))
  return whileAdmitted(ctx, 'builds:read', readLog(ctx, jobId, after))
}
