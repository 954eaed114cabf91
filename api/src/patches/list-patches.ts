import { bundlePatches, withOrg } from '@capstan/migrations'
import { asc, eq } from 'drizzle-orm'
import { requireBundle } from '../bundles/queries.js'
import { type Context, requireScope } from '../context.js'

type Patch = typeof bundlePatches.$inferSelect

/** The patches that lead to a bundle, offered or not. */
export async function listPatches(ctx: Context, input: { appId: string; bundleId: string }): Promise<Patch[]> {
  requireScope(ctx, 'bundles:read')
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const bundle = await requireBundle(tx, input.appId, input.bundleId)
    return tx.select().from(bundlePatches).where(eq(bundlePatches.toBundleId, bundle.id)).orderBy(asc(bundlePatches.id))
  })
}
