import { dependencyCaches, withOrg, type Transaction } from '@capstan/migrations'
import { and, eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import type { Lease } from '../auth/worker-access.js'
import type { Context } from '../context.js'
import { deleteDiscarded } from '../jobs/delete-discarded.js'
import { measureObject } from '../objects/measure-object.js'
import { noteDiscarded } from '../objects/note-discarded.js'
import { Problem } from '../problems.js'
import { holdLease } from './hold-lease.js'

/** Reads what was uploaded and hashes it here. Until its build has succeeded no other build is given it. */
export async function finalizeCache(ctx: Context, lease: Lease, cacheId: string): Promise<void> {
  const cache = await withOrg(ctx.db, ctx.orgId, (tx) => findOwn(tx, ctx, lease, cacheId))
  if (cache.status !== 'pending') return
  const found = await measureObject(ctx.objects, cache.objectKey)
  if (!found) throw new Problem('cache-mismatch', 'The bytes of this cache have not arrived. Upload them first.')
  const matches = found.sizeBytes === cache.sizeBytes && found.sha256 === cache.sha256
  await withOrg(ctx.db, ctx.orgId, async (tx) => {
    const { status } = await findOwn(tx, ctx, lease, cacheId)
    if (status !== 'pending') return
    const row = eq(dependencyCaches.id, cacheId)
    if (matches) await tx.update(dependencyCaches).set({ status: 'stored' }).where(row)
    else {
      await tx.delete(dependencyCaches).where(row)
      await noteDiscarded(tx, ctx.orgId, [cache.objectKey])
    }
    await recordAudit(tx, ctx, {
      action: matches ? 'cache.stored' : 'cache.refused',
      outcome: matches ? 'success' : 'refused',
      target: { app: cache.appId, build: cache.buildId, cache: cacheId },
      data: { key: cache.key, tier: cache.tier, attempt: lease.attempt, ...found },
    })
  })
  if (matches) return
  await deleteDiscarded(ctx.objects, ctx.log, [cache.objectKey])
  throw new Problem('cache-mismatch', 'What arrived is not what was declared; it is not kept.')
}

async function findOwn(tx: Transaction, ctx: Context, lease: Lease, cacheId: string) {
  await holdLease(tx, ctx, lease)
  const own = and(eq(dependencyCaches.buildId, lease.buildId), eq(dependencyCaches.attempt, lease.attempt))
  const [cache] = await tx
    .select()
    .from(dependencyCaches)
    .where(and(eq(dependencyCaches.id, cacheId), own))
  if (!cache) throw new Problem('not-found')
  return cache
}
