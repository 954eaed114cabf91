import { jobs, outbox, withOrg } from '@capstan/migrations'
import { BuildMessage } from '@capstan/migrations/messages'
import { and, asc, eq, inArray, isNull, sql } from 'drizzle-orm'
import type { ControlDeps } from './control-deps.js'

const ROWS_AT_ONCE = 100

/**
 * Rings for every job that was queued since the last pass. Entry, status and mark belong to one transaction: when Redis
 * is away the row stays, and the next pass sends it. Several control processes may run; each row is sent by one.
 */
export async function relayOutbox(deps: ControlDeps): Promise<number> {
  const rows = await deps.db
    .select({ id: outbox.id, orgId: outbox.orgId })
    .from(outbox)
    .where(isNull(outbox.sentAt))
    .orderBy(asc(outbox.id))
    .limit(ROWS_AT_ONCE)
  let sent = 0
  for (const row of rows) if (await relayRow(deps, row)) sent += 1
  return sent
}

async function relayRow(deps: ControlDeps, { id, orgId }: { id: number; orgId: string }): Promise<boolean> {
  return withOrg(deps.db, orgId, async (tx) => {
    const [row] = await tx
      .select()
      .from(outbox)
      .where(and(eq(outbox.id, id), isNull(outbox.sentAt)))
      .for('update', { skipLocked: true })
    if (!row) return false
    const message = BuildMessage.safeParse(row.payload)
    if (row.topic !== 'build.queued' || !message.success) {
      deps.log.error({ outboxId: id, topic: row.topic }, 'an outbox row is not understood; set aside')
    } else {
      const [job] = await tx
        .update(jobs)
        .set({ status: 'pending', pendingAt: sql`now()`, updatedAt: sql`now()` })
        .where(and(eq(jobs.buildId, message.data.buildId), inArray(jobs.status, ['queued'])))
        .returning({ attempt: jobs.attempt })
      // A job that is not queued any more was canceled, or claimed through an earlier entry: nobody waits for a bell.
      if (job) await deps.queue.ring(message.data, job.attempt + 1)
    }
    await tx
      .update(outbox)
      .set({ sentAt: sql`now()` })
      .where(eq(outbox.id, id))
    return true
  })
}
