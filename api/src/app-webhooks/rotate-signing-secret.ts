import { appWebhooks, withOrg } from '@capstan/migrations'
import { and, eq, sql } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import { createSigningSecret } from './signing-secret.js'
import { sealSecret } from './webhook-target.js'

const HOUR_MS = 60 * 60_000

export type RotateSigningSecret = { appId: string; webhookId: string; overlapHours: number }

/** A new secret, in this answer only. What is sent bears a signature of the old one too until the overlap is over. */
export async function rotateSigningSecret(ctx: Context, { appId, webhookId, overlapHours }: RotateSigningSecret) {
  requireScope(ctx, 'webhooks:write')
  const signingSecret = createSigningSecret()
  const sealedSecret = sealSecret(ctx, webhookId, signingSecret)
  const row = await withOrg(ctx.db, ctx.orgId, async (tx) => {
    const [changed] = await tx
      .update(appWebhooks)
      .set({
        sealedSecret,
        sealedOldSecret: sql`${appWebhooks.sealedSecret}`,
        oldSecretUntil: new Date(ctx.now().getTime() + overlapHours * HOUR_MS),
        updatedAt: ctx.now(),
      })
      .where(and(eq(appWebhooks.appId, appId), eq(appWebhooks.id, webhookId)))
      .returning()
    if (!changed) throw new Problem('not-found', 'This app has no such webhook.')
    await recordAudit(tx, ctx, {
      action: 'app-webhook.secret_rotated',
      target: { app: appId, appWebhook: webhookId },
      data: { overlapHours },
    })
    return changed
  })
  return { row, signingSecret }
}
