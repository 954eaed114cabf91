import { artifacts, withOrg, type Transaction } from '@capstan/migrations'
import type { FinishReport } from '@capstan/migrations/messages'
import { and, eq } from 'drizzle-orm'
import { signProvenances } from '../artifacts/get-provenance.js'
import type { Lease } from '../auth/worker-access.js'
import type { Context } from '../context.js'
import { deleteDiscarded } from '../jobs/delete-discarded.js'
import { appendLogLines } from '../jobs/append-log-lines.js'
import { endAttempt } from '../jobs/end-attempt.js'
import { ringLogBell } from '../jobs/ring-log-bell.js'
import { toStorable } from '../jobs/storable-text.js'
import { writePhases } from '../jobs/write-phases.js'
import { Problem } from '../problems.js'
import { holdLease } from './hold-lease.js'

/** The worker's last word about an attempt, with what it had not said of it before: nobody sees the end without that. */
export async function finishBuild(ctx: Context, lease: Lease, report: FinishReport): Promise<void> {
  const { job, discardedKeys } = await withOrg(ctx.db, ctx.orgId, async (tx) => {
    const running = await holdLease(tx, ctx, lease)
    if (report.phases) await writePhases(tx, lease, report.phases)
    if (report.logs) await appendLogLines(tx, { ...lease, ...report.logs })
    if (report.status === 'succeeded') await requireArtifact(tx, lease)
    return endAttempt(tx, ctx, running, {
      status: report.status,
      code: report.code ?? null,
      message: report.message === undefined ? null : toStorable(report.message),
      retryable: report.retryable,
    })
  })
  ringLogBell(ctx.redis, job.id, job.nextLogNumber - 1)
  if (job.status === 'succeeded') await signProvenances(ctx, job.buildId)
  await deleteDiscarded(ctx.objects, ctx.log, discardedKeys)
}

async function requireArtifact(tx: Transaction, lease: Lease): Promise<void> {
  const [ready] = await tx
    .select({ id: artifacts.id })
    .from(artifacts)
    .where(
      and(eq(artifacts.buildId, lease.buildId), eq(artifacts.attempt, lease.attempt), eq(artifacts.status, 'ready')),
    )
    .limit(1)
  if (!ready)
    throw new Problem('artifact-not-ready', 'A build that succeeded has an artifact. Finalize one, then finish.')
}
