import { leases, withOrg } from '@capstan/migrations'
import type { HeartbeatResponse } from '@capstan/migrations/messages'
import { eq } from 'drizzle-orm'
import type { Lease } from '../auth/worker-access.js'
import type { Context } from '../context.js'
import { holdLease } from './hold-lease.js'

/** A heartbeat: the lease lives on, and the worker learns whether the build was canceled. */
export async function extendLease(ctx: Context, lease: Lease): Promise<HeartbeatResponse> {
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const job = await holdLease(tx, ctx, lease)
    const expiresAt = new Date(ctx.now().getTime() + ctx.leaseMs)
    await tx.update(leases).set({ expiresAt }).where(eq(leases.id, lease.id))
    return { expiresAt: expiresAt.toISOString(), cancelRequested: job.cancelRequestedAt !== null }
  })
}
