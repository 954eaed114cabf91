import { type LogLine, withOrg } from '@capstan/migrations'
import { whileAdmitted } from '../auth/while-admitted.js'
import { type Context, requireScope } from '../context.js'
import { findJob } from './find-job.js'
import { readLog } from './read-log.js'

export type ListLogLines = { jobId: string; after: number; limit?: number | undefined }

/** Lines after number `after`, page by page; of a long log no more is read than `limit` asks for. */
export async function listLogLines(
  ctx: Context,
  { jobId, after, limit = Number.POSITIVE_INFINITY }: ListLogLines,
): Promise<AsyncGenerator<LogLine[]>> {
  requireScope(ctx, 'builds:read')
  await withOrg(ctx.db, ctx.orgId, (tx) => findJob(tx, jobId))
  return whileAdmitted(ctx, 'builds:read', take(readLog(ctx, jobId, after), limit))
}

async function* take(pages: AsyncIterable<LogLine[]>, limit: number): AsyncGenerator<LogLine[]> {
  let left = limit
  for await (const lines of pages) {
    yield lines.slice(0, left)
    left -= lines.length
    if (left <= 0) return
  }
}
