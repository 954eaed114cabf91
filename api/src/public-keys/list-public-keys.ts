import { appPublicKeys, withOrg } from '@capstan/migrations'
import { asc, eq } from 'drizzle-orm'
import { type Context, requireScope } from '../context.js'

/** Oldest first, revoked ones included. */
export async function listPublicKeys(ctx: Context, appId: string): Promise<(typeof appPublicKeys.$inferSelect)[]> {
  requireScope(ctx, 'apps:read')
  return withOrg(ctx.db, ctx.orgId, (tx) =>
    tx.select().from(appPublicKeys).where(eq(appPublicKeys.appId, appId)).orderBy(asc(appPublicKeys.id)),
  )
}
