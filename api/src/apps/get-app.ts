import { apps, withOrg } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'

export async function getApp(ctx: Context, appId: string): Promise<typeof apps.$inferSelect> {
  requireScope(ctx, 'apps:read')
  const [app] = await withOrg(ctx.db, ctx.orgId, (tx) => tx.select().from(apps).where(eq(apps.id, appId)))
  if (!app) throw new Problem('not-found')
  return app
}
