import { dependencyCaches, withOrg } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import type { Context } from '../context.js'
import { deleteDiscarded } from '../jobs/delete-discarded.js'
import { noteDiscarded } from '../objects/note-discarded.js'

/** Removes a cache whose object is gone or is not what was stored: it would keep its key from every later build. */
export async function dropLostCache(ctx: Context, { id }: typeof dependencyCaches.$inferSelect): Promise<void> {
  const gone = await withOrg(ctx.db, ctx.orgId, async (tx) => {
    const [row] = await tx.delete(dependencyCaches).where(eq(dependencyCaches.id, id)).returning()
    // Another build has noticed it as well.
    if (!row) return null
    await noteDiscarded(tx, ctx.orgId, [row.objectKey])
    await recordAudit(tx, ctx, {
      action: 'cache.evicted',
      target: { app: row.appId, cache: id },
      data: { key: row.key, tier: row.tier, reason: 'lost' },
    })
    return row.objectKey
  })
  if (gone !== null) await deleteDiscarded(ctx.objects, ctx.log, [gone])
}
