import { jobs } from '@capstan/migrations'
import { and, asc, eq, lt } from 'drizzle-orm'
import type { ControlDeps } from './control-deps.js'

const JOBS_AT_ONCE = 1_000

/** Rings again for jobs that have waited for a while and whose queue entry is gone, as after a Redis that lost it. */
export async function ringAgain(deps: ControlDeps, afterMs: number): Promise<number> {
  const waiting = await deps.db
    .select({ orgId: jobs.orgId, buildId: jobs.buildId, attempt: jobs.attempt, pool: jobs.pool })
    .from(jobs)
    .where(and(eq(jobs.status, 'pending'), lt(jobs.pendingAt, new Date(deps.now().getTime() - afterMs))))
    .orderBy(asc(jobs.pendingAt))
    .limit(JOBS_AT_ONCE)
  let rung = 0
  for (const { orgId, buildId, attempt, pool } of waiting) {
    if (await deps.queue.has(buildId, attempt + 1, pool)) continue
    await deps.queue.ring({ v: 1, orgId, buildId }, attempt + 1, pool)
    deps.log.warn({ buildId, attempt: attempt + 1 }, 'the queue entry of a waiting build was gone; rung again')
    rung += 1
  }
  return rung
}
