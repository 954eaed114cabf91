import { appWebhooks, withOrg } from '@capstan/migrations'
import { and, eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import { endDeliveries } from './end-deliveries.js'
import type { AppWebhookInput } from './present-app-webhook.js'
import { sealSecret, sealUrl } from './webhook-target.js'

export type UpdateAppWebhook = { appId: string; webhookId: string } & {
  [Field in keyof AppWebhookInput]?: AppWebhookInput[Field] | undefined
}

/** A signing secret that is named here counts at once, and the one before no more; who enables it clears its failures. */
export async function updateAppWebhook(ctx: Context, input: UpdateAppWebhook) {
  requireScope(ctx, 'webhooks:write')
  const { appId, webhookId, url, signingSecret, name, events, format, enabled } = input
  const changes = {
    ...(url === undefined ? {} : sealUrl(ctx, webhookId, url)),
    ...(signingSecret === undefined
      ? {}
      : { sealedSecret: sealSecret(ctx, webhookId, signingSecret), sealedOldSecret: null, oldSecretUntil: null }),
    ...(name === undefined ? {} : { name }),
    ...(events === undefined ? {} : { events }),
    ...(format === undefined ? {} : { format }),
    ...(enabled === undefined ? {} : { enabled, disabledReason: null, failingSince: null }),
  }
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const [row] = await tx
      .update(appWebhooks)
      .set({ ...changes, updatedAt: ctx.now() })
      .where(and(eq(appWebhooks.appId, appId), eq(appWebhooks.id, webhookId)))
      .returning()
    if (!row) throw new Problem('not-found', 'This app has no such webhook.')
    if (enabled === false) await endDeliveries(tx, webhookId)
    await recordAudit(tx, ctx, {
      action: 'app-webhook.updated',
      target: { app: appId, appWebhook: webhookId },
      data: {
        events: row.events,
        format: row.format,
        enabled: row.enabled,
        urlChanged: url !== undefined,
        secretChanged: signingSecret !== undefined,
      },
      personal: { host: row.host },
    })
    return row
  })
}
