import { checkpointWebhooks, withOrg } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'

export async function deleteCheckpointWebhook(ctx: Context, checkpointWebhookId: string): Promise<void> {
  requireScope(ctx, 'organizations:write')
  await withOrg(ctx.db, ctx.orgId, async (tx) => {
    const deleted = await tx
      .delete(checkpointWebhooks)
      .where(eq(checkpointWebhooks.id, checkpointWebhookId))
      .returning({ id: checkpointWebhooks.id })
    if (deleted.length === 0) throw new Problem('not-found')
    await recordAudit(tx, ctx, {
      action: 'checkpoint-webhook.deleted',
      target: { checkpointWebhook: checkpointWebhookId },
    })
  })
}
