import { appWebhookDeliveries, withOrg } from '@capstan/migrations'
import { and, eq, ne } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import { findAppWebhook } from './find-app-webhooks.js'

export type Redeliver = { appId: string; webhookId: string; deliveryId: string }

/** Sends it once more, with the same id and a budget of its own: receivers that keep ids know a repetition by it. */
export async function redeliver(ctx: Context, { appId, webhookId, deliveryId }: Redeliver) {
  requireScope(ctx, 'webhooks:write')
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const webhook = await findAppWebhook(tx, appId, webhookId)
    if (!webhook.enabled) throw new Problem('webhook-disabled', 'The webhook is disabled. Enable it first.')
    const ofWebhook = and(eq(appWebhookDeliveries.webhookId, webhookId), eq(appWebhookDeliveries.id, deliveryId))
    const [row] = await tx
      .update(appWebhookDeliveries)
      .set({ status: 'pending', attempts: 0, nextAttemptAt: ctx.now() })
      .where(and(ofWebhook, ne(appWebhookDeliveries.status, 'pending')))
      .returning()
    if (!row) {
      const isThere = (await tx.$count(appWebhookDeliveries, ofWebhook)) > 0
      if (isThere) throw new Problem('delivery-pending', 'This delivery is still being tried.')
      throw new Problem('not-found', 'This webhook has no such delivery.')
    }
    await recordAudit(tx, ctx, {
      action: 'app-webhook.redelivered',
      target: { app: appId, appWebhook: webhookId, delivery: deliveryId },
    })
    return row
  })
}
