import { apps, newId, withOrg } from '@capstan/migrations'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import type { appTypes } from './present-app.js'

export type CreateApp = { name: string; type: (typeof appTypes)[number] }

export async function createApp(ctx: Context, input: CreateApp): Promise<typeof apps.$inferSelect> {
  requireScope(ctx, 'apps:write')
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const [app] = await tx
      .insert(apps)
      .values({ id: newId(), orgId: ctx.orgId, name: input.name, type: input.type })
      .returning()
    if (!app) throw new Error('The app was not inserted.')
    await recordAudit(tx, ctx, { action: 'app.created', target: { app: app.id }, data: { type: app.type } })
    return app
  })
}
