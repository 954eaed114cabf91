import { randomBytes } from 'node:crypto'
import { auditHeads, checkpointWebhooks, newId, withOrg } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { checkOutboundUrl } from '../outbound/check-outbound-url.js'
import { Problem } from '../problems.js'
import { requireWebhookKey } from '../webhook-receivers/require-webhook-key.js'
import { sealForReceiver } from '../webhook-receivers/seal-for-receiver.js'

const MOST = 10
const SECRET_BYTES = 32

/** From now on each checkpoint goes to this address as well. The secret that signs them is in this answer only. */
export async function createCheckpointWebhook(ctx: Context, input: { url: string }) {
  requireScope(ctx, 'organizations:write')
  const key = requireWebhookKey(ctx)
  const url = checkOutboundUrl(input.url, ctx.outboundPrivateHosts).href
  const [id, secret] = [newId(), `whsec_${randomBytes(SECRET_BYTES).toString('base64url')}`]
  const sealedSecret = sealForReceiver(key, 'webhook-secret', id, secret)
  const row = await withOrg(ctx.db, ctx.orgId, async (tx) => {
    if ((await tx.$count(checkpointWebhooks)) >= MOST) {
      throw new Problem(
        'webhook-limit',
        `An organization has at most ${MOST} webhooks for checkpoints. Delete one first.`,
      )
    }
    const [head] = await tx
      .select({ size: auditHeads.checkpointSize })
      .from(auditHeads)
      .where(eq(auditHeads.orgId, ctx.orgId))
    const [inserted] = await tx
      .insert(checkpointWebhooks)
      .values({ id, orgId: ctx.orgId, url, sealedSecret, deliveredSize: head?.size ?? 0, createdAt: ctx.now() })
      .returning()
    if (!inserted) throw new Error('The webhook was not inserted.')
    await recordAudit(tx, ctx, {
      action: 'checkpoint-webhook.created',
      target: { checkpointWebhook: id },
      personal: { host: new URL(url).host },
    })
    return inserted
  })
  return { row, secret }
}
