import { withLookup, workers } from '@capstan/migrations'
import { and, gt, isNull } from 'drizzle-orm'
import type { Context } from '../context.js'
import { Problem } from '../problems.js'
import { WORKER_GONE_AFTER } from '../worker-routes/report-worker.js'

/** A build that only some workers can do is refused at once while none of them is there, instead of waiting for ever. */
export async function requireMacWorker(ctx: Context): Promise<void> {
  const since = new Date(ctx.now().getTime() - WORKER_GONE_AFTER * ctx.workerReportMs)
  const [worker] = await withLookup(ctx.db, 'capability:macos', (tx) =>
    tx
      .select({ id: workers.id })
      .from(workers)
      .where(and(isNull(workers.revokedAt), gt(workers.reportedAt, since)))
      .limit(1),
  )
  if (worker) return
  throw new Problem(
    'build-platform-unavailable',
    'No worker that builds for iOS is connected: compiling for iOS needs macOS. Connect a worker on a Mac, then build again.',
  )
}
