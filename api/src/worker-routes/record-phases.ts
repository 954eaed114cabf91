import { withOrg } from '@capstan/migrations'
import type { PhaseReport } from '@capstan/migrations/messages'
import type { Lease } from '../auth/worker-access.js'
import type { Context } from '../context.js'
import { writePhases } from '../jobs/write-phases.js'
import { holdLease } from './hold-lease.js'

/** What phases started or ended since the worker last said so. */
export async function recordPhases(ctx: Context, lease: Lease, reports: readonly PhaseReport[]): Promise<void> {
  await withOrg(ctx.db, ctx.orgId, async (tx) => {
    await holdLease(tx, ctx, lease)
    await writePhases(tx, lease, reports)
  })
}
