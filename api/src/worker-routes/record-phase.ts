import { jobPhases, withOrg } from '@capstan/migrations'
import type { PhaseReport } from '@capstan/migrations/messages'
import type { Lease } from '../auth/worker-access.js'
import type { Context } from '../context.js'
import { toStorable } from '../jobs/storable-text.js'
import { holdLease } from './hold-lease.js'

/** One row a phase and attempt: made when it starts, completed when it ends. Reports may be repeated. */
export async function recordPhase(ctx: Context, lease: Lease, report: PhaseReport): Promise<void> {
  const at = new Date(report.at)
  const ended = report.state !== 'started'
  const changes = {
    state: report.state,
    detail: report.detail === undefined ? null : toStorable(report.detail),
    finishedAt: ended ? at : null,
  }
  const row = { orgId: ctx.orgId, jobId: lease.jobId, attempt: lease.attempt, phase: report.phase, startedAt: at }
  await withOrg(ctx.db, ctx.orgId, async (tx) => {
    await holdLease(tx, ctx, lease)
    const insert = tx.insert(jobPhases).values({ ...row, ...changes })
    const key = [jobPhases.jobId, jobPhases.attempt, jobPhases.phase]
    // A start that arrives after its end, because it was sent again, changes nothing.
    await (ended ? insert.onConflictDoUpdate({ target: key, set: changes }) : insert.onConflictDoNothing())
  })
}
