import { dependencyCaches, jobs, withOrg } from '@capstan/migrations'
import type { CacheReport } from '@capstan/migrations/messages'
import { eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import type { Lease } from '../auth/worker-access.js'
import type { Context } from '../context.js'
import { deleteDiscarded } from '../jobs/delete-discarded.js'
import { noteDiscarded } from '../objects/note-discarded.js'
import { holdLease } from './hold-lease.js'

/** What the cache took and saved. One that was not what had been stored is given to nobody again. */
export async function recordCache(ctx: Context, lease: Lease, report: CacheReport): Promise<void> {
  const { refused, ...figures } = report
  const gone = await withOrg(ctx.db, ctx.orgId, async (tx) => {
    const { cache, appId } = await holdLease(tx, ctx, lease)
    // Nothing was asked for, so there is nothing to report.
    if (!cache) return null
    const outcome = refused && cache.outcome === 'hit' ? 'refused' : cache.outcome
    await tx
      .update(jobs)
      .set({ cache: { ...cache, ...figures, outcome } })
      .where(eq(jobs.id, lease.jobId))
    if (outcome !== 'refused' || cache.outcome === 'refused' || !cache.cacheId) return null
    const [row] = await tx.delete(dependencyCaches).where(eq(dependencyCaches.id, cache.cacheId)).returning()
    if (!row) return null
    await noteDiscarded(tx, ctx.orgId, [row.objectKey])
    await recordAudit(tx, ctx, {
      action: 'cache.refused',
      outcome: 'refused',
      target: { app: appId, build: lease.buildId, cache: row.id },
      data: { key: row.key, tier: row.tier, sha256: row.sha256, attempt: lease.attempt },
    })
    return row.objectKey
  })
  if (gone !== null) await deleteDiscarded(ctx.objects, ctx.log, [gone])
}
