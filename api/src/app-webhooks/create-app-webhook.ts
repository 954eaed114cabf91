import { appWebhooks, newId, withOrg } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import type { AppWebhookInput } from './present-app-webhook.js'
import { createSigningSecret } from './signing-secret.js'
import { sealSecret, sealUrl } from './webhook-target.js'

const MOST = 20

/** From now on events of the app go to this address. The secret that signs them is in this answer only. */
export async function createAppWebhook(ctx: Context, appId: string, input: AppWebhookInput) {
  requireScope(ctx, 'webhooks:write')
  const id = newId()
  const { url, signingSecret = createSigningSecret(), ...chosen } = input
  const sealed = { ...sealUrl(ctx, id, url), sealedSecret: sealSecret(ctx, id, signingSecret) }
  const row = await withOrg(ctx.db, ctx.orgId, async (tx) => {
    if ((await tx.$count(appWebhooks, eq(appWebhooks.appId, appId))) >= MOST) {
      throw new Problem('webhook-limit', `An app has at most ${MOST} webhooks. Delete one first.`)
    }
    const [inserted] = await tx
      .insert(appWebhooks)
      .values({ ...chosen, ...sealed, id, orgId: ctx.orgId, appId, createdBy: ctx.actor.id })
      .returning()
    if (!inserted) throw new Error('The webhook was not inserted.')
    const { host, events, format, enabled } = inserted
    await recordAudit(tx, ctx, {
      action: 'app-webhook.created',
      target: { app: appId, appWebhook: id },
      data: { events, format, enabled },
      personal: { host },
    })
    return inserted
  })
  return { row, signingSecret }
}
