import { jobPhases, type Transaction } from '@capstan/migrations'
import type { PhaseReport } from '@capstan/migrations/messages'
import { isNotNull, sql } from 'drizzle-orm'
import { toStorable } from './storable-text.js'

type AttemptOfJob = { orgId: string; jobId: string; attempt: number }
type Row = typeof jobPhases.$inferInsert

/** One row a phase and attempt: made when it starts, completed when it ends. The caller holds the job's row. */
export async function writePhases(
  tx: Transaction,
  { orgId, jobId, attempt }: AttemptOfJob,
  reports: readonly PhaseReport[],
): Promise<void> {
  const rows = new Map<string, Row>()
  for (const { phase, state, at, detail } of reports) {
    const made = rows.get(phase)
    const isEnd = state !== 'started'
    if (made && !isEnd) continue
    rows.set(phase, {
      orgId,
      jobId,
      attempt,
      phase,
      state,
      startedAt: made?.startedAt ?? new Date(at),
      finishedAt: isEnd ? new Date(at) : null,
      detail: detail === undefined ? null : toStorable(detail),
    })
  }
  await tx
    .insert(jobPhases)
    .values([...rows.values()])
    .onConflictDoUpdate({
      target: [jobPhases.jobId, jobPhases.attempt, jobPhases.phase],
      set: { state: sql`excluded.state`, detail: sql`excluded.detail`, finishedAt: sql`excluded.finished_at` },
      // A start that arrives after its end, because it was sent again, changes nothing.
      setWhere: isNotNull(sql`excluded.finished_at`),
    })
}
