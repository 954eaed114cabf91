import { appWebhooks, withOrg } from '@capstan/migrations'
import { and, eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'

export async function deleteAppWebhook(ctx: Context, appId: string, webhookId: string): Promise<void> {
  requireScope(ctx, 'webhooks:write')
  await withOrg(ctx.db, ctx.orgId, async (tx) => {
    const deleted = await tx
      .delete(appWebhooks)
      .where(and(eq(appWebhooks.appId, appId), eq(appWebhooks.id, webhookId)))
      .returning({ id: appWebhooks.id })
    if (deleted.length === 0) throw new Problem('not-found', 'This app has no such webhook.')
    await recordAudit(tx, ctx, { action: 'app-webhook.deleted', target: { app: appId, appWebhook: webhookId } })
  })
}
