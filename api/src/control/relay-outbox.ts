import { jobs, outbox, withOrg, workerPools, type WorkerPool } from '@capstan/migrations'
import { BuildMessage } from '@capstan/migrations/messages'
import { and, asc, eq, inArray, isNull, sql } from 'drizzle-orm'
import { chooseDueBuilds, type DispatchLimits, type DueBuild } from './choose-due-builds.js'
import type { ControlDeps } from './control-deps.js'

const ROWS_AT_ONCE = 100
/** One control process rings at a time; the others wait for their next pass. */
const RELAY_LOCK = 7_201_951

export const dispatchLimits: DispatchLimits = { perOrganization: 20, unknownCapacity: 20, workerReportMs: 20_000 }

/**
 * Rings for the builds that are due. Entry, status and mark belong to one transaction: when Redis is away the build stays
 * queued, and the next pass rings. Answers how many rows of the outbox are settled with that.
 */
export async function relayOutbox(deps: ControlDeps, limits: DispatchLimits = dispatchLimits): Promise<number> {
  return deps.db.transaction(async (tx) => {
    const [lock] = await tx.execute<{ mine: boolean }>(sql`select pg_try_advisory_xact_lock(${RELAY_LOCK}) as mine`)
    if (!lock?.mine) return 0
    let sent = 0
    for (const pool of workerPools) {
      for (const due of await chooseDueBuilds(deps, pool, limits)) sent += await ringFor(deps, pool, due)
    }
    return sent + (await setAside(deps))
  })
}

async function ringFor(deps: ControlDeps, pool: WorkerPool, { jobId, buildId, orgId }: DueBuild): Promise<number> {
  return withOrg(deps.db, orgId, async (tx) => {
    const [job] = await tx
      .update(jobs)
      .set({ status: 'pending', pendingAt: sql`now()`, updatedAt: sql`now()` })
      .where(and(eq(jobs.id, jobId), inArray(jobs.status, ['queued'])))
      .returning({ attempt: jobs.attempt })
    // Canceled or claimed since it was chosen: nobody waits for a bell.
    if (job) await deps.queue.ring({ v: 1, orgId, buildId }, job.attempt + 1, pool)
    const marked = await tx
      .update(outbox)
      .set({ sentAt: sql`now()` })
      .where(and(isNull(outbox.sentAt), eq(sql`${outbox.payload} ->> 'buildId'`, buildId)))
      .returning({ id: outbox.id })
    return marked.length
  })
}

/** Rows that need no bell any more, or that nobody understands, among the oldest. */
async function setAside(deps: ControlDeps): Promise<number> {
  const rows = await deps.db
    .select()
    .from(outbox)
    .where(isNull(outbox.sentAt))
    .orderBy(asc(outbox.id))
    .limit(ROWS_AT_ONCE)
  const messages = rows.map((row) => ({ row, message: BuildMessage.safeParse(row.payload) }))
  const known = messages.flatMap(({ row, message }) =>
    row.topic === 'build.queued' && message.success ? [message.data.buildId] : [],
  )
  const queued = known.length === 0 ? [] : await findQueued(deps, known)
  let settled = 0
  for (const { row, message } of messages) {
    const isKnown = row.topic === 'build.queued' && message.success
    if (isKnown && queued.includes(message.data.buildId)) continue
    if (!isKnown) deps.log.error({ outboxId: row.id, topic: row.topic }, 'an outbox row is not understood; set aside')
    settled += await withOrg(deps.db, row.orgId, async (tx) => {
      const mark = tx.update(outbox).set({ sentAt: sql`now()` })
      return (await mark.where(and(eq(outbox.id, row.id), isNull(outbox.sentAt))).returning({ id: outbox.id })).length
    })
  }
  return settled
}

async function findQueued({ db }: ControlDeps, buildIds: string[]): Promise<string[]> {
  const rows = await db
    .select({ buildId: jobs.buildId })
    .from(jobs)
    .where(and(inArray(jobs.buildId, buildIds), eq(jobs.status, 'queued')))
  return rows.map(({ buildId }) => buildId)
}
