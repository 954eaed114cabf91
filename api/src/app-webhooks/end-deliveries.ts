import { appWebhookDeliveries, type Transaction } from '@capstan/migrations'
import { and, eq } from 'drizzle-orm'

/** What a webhook that was disabled was still to be sent is not sent; it can be asked for again. */
export async function endDeliveries(tx: Transaction, webhookId: string): Promise<void> {
  await tx
    .update(appWebhookDeliveries)
    .set({ status: 'failed', lastFailure: 'The webhook was disabled.' })
    .where(and(eq(appWebhookDeliveries.webhookId, webhookId), eq(appWebhookDeliveries.status, 'pending')))
}
