import { withLookup, type WorkerPool, workers } from '@capstan/migrations'
import { buildQueues, type WorkerReport, type WorkerReportAnswer } from '@capstan/migrations/messages'
import { eq } from 'drizzle-orm'
import type { WorkerIdentity } from '../auth/worker-access.js'
import type { Deps } from '../context.js'
import { Problem } from '../problems.js'

/** A worker counts as gone when it was not heard for so many of its intervals. */
export const WORKER_GONE_AFTER = 3

/** Notes what a worker can do and how much of it at once. Dispatch and the refusal of builds look at this. */
export async function reportWorker(
  deps: Deps,
  { tokenHash }: WorkerIdentity,
  report: WorkerReport,
): Promise<WorkerReportAnswer> {
  const capabilities = [...new Set(report.capabilities)]
  const [noted] = await withLookup(deps.db, tokenHash, (tx) =>
    tx
      .update(workers)
      .set({ capabilities, slots: report.slots, reportedAt: deps.now() })
      .where(eq(workers.tokenHash, tokenHash))
      .returning({ id: workers.id }),
  )
  if (!noted) throw new Problem('token-invalid')
  const pools: WorkerPool[] = []
  if (capabilities.some((capability) => capability !== 'macos')) pools.push('standard')
  if (capabilities.includes('macos')) pools.push('macos')
  return { nextReportMs: deps.workerReportMs, queues: pools.map((pool) => buildQueues[pool]) }
}
