import { withOrg } from '@capstan/migrations'
import type { LogBatch } from '@capstan/migrations/messages'
import type { Lease } from '../auth/worker-access.js'
import type { Context } from '../context.js'
import { appendLogLines } from '../jobs/append-log-lines.js'
import { ringLogBell } from '../jobs/ring-log-bell.js'
import { holdLease } from './hold-lease.js'

/** Stores a batch of lines; the same batch sent again is not stored again. */
export async function appendLogs(ctx: Context, lease: Lease, { batch, lines }: LogBatch): Promise<void> {
  const last = await withOrg(ctx.db, ctx.orgId, async (tx) => {
    await holdLease(tx, ctx, lease)
    return appendLogLines(tx, { orgId: ctx.orgId, jobId: lease.jobId, attempt: lease.attempt, batch, lines })
  })
  if (last !== null) ringLogBell(ctx.redis, lease.jobId, last)
}
