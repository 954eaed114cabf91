import { type LogLine, withOrg } from '@capstan/migrations'
import { createAlarm } from '../alarm.js'
import { RECHECK_MS, whileAdmitted } from '../auth/while-admitted.js'
import { type Context, requireScope } from '../context.js'
import { findJob } from './find-job.js'
import { listenToLogs } from './log-bell.js'
import { readLog, readRows } from './read-log.js'

const POLL_MS = 2_000

export type LogEvent =
  | { kind: 'line'; line: LogLine }
  | { kind: 'end'; status: string; statusCode: string | null; statusMessage: string | null }
  | { kind: 'idle' }

/**
 * The lines of a job after `after` as they come, then one `end`. `idle` is said when nothing came for a while, so that
 * a reader that has gone away is noticed. Ends without `end` when the caller would not be let in any more. Woken by Redis; looks
 * for itself every two seconds in case Redis is away.
 */
export async function* followLog(
  ctx: Context,
  jobId: string,
  after: number,
  signal: AbortSignal,
): AsyncGenerator<LogEvent> {
  requireScope(ctx, 'builds:read')
  const alarm = createAlarm(signal)
  const stop = listenToLogs(ctx.redis, jobId, alarm.ring)
  let last = after
  let checkedAt = Date.now()
  try {
    while (!signal.aborted) {
      if (Date.now() - checkedAt >= RECHECK_MS) {
        if (ctx.stillAdmitted && !(await ctx.stillAdmitted('builds:read'))) return
        checkedAt = Date.now()
      }
      const { job, lines } = await readNext(ctx, jobId, last)
      for (const line of lines) {
        last = line.number
        yield { kind: 'line', line }
      }
      if (lines.length > 0) continue
      if (job.finishedAt) {
        // Its rows may be gone from the database already.
        for await (const page of whileAdmitted(ctx, 'builds:read', readLog(ctx, jobId, last))) {
          for (const line of page) {
            last = line.number
            yield { kind: 'line', line }
          }
          if (signal.aborted) return
        }
        yield { kind: 'end', status: job.status, statusCode: job.statusCode, statusMessage: job.statusMessage }
        return
      }
      yield { kind: 'idle' }
      await alarm.wait(POLL_MS)
    }
  } finally {
    stop()
  }
}

/** Status before lines, so that `end` is said only after the last line. */
function readNext(ctx: Context, jobId: string, after: number) {
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const job = await findJob(tx, jobId)
    return { job, lines: await readRows(tx, jobId, after) }
  })
}
