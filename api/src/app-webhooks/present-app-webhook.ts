import {
  type appWebhookDeliveries,
  type appWebhooks,
  deliveryStatuses,
  webhookEvents,
  webhookFormats,
} from '@capstan/migrations'
import { z } from '@hono/zod-openapi'
import { plainText } from '../channels/plain-text.js'
import { Id, Timestamp } from '../define-route.js'
import { openForReceiver } from '../webhook-receivers/seal-for-receiver.js'

export const AppWebhookFields = z.object({
  name: plainText(200).min(1),
  url: z.string().max(2000),
  events: z
    .array(z.enum(webhookEvents))
    .min(1)
    .max(20)
    .transform((events) => [...new Set(events)]),
  format: z.enum(webhookFormats),
  signingSecret: z.string().max(200).optional().openapi({
    description: 'Of Standard Webhooks: "whsec_" and 24 to 64 bytes in base64. Absent: one is made.',
  }),
  enabled: z.boolean(),
})
export const CreateFields = AppWebhookFields.extend({
  format: AppWebhookFields.shape.format.default('raw'),
  enabled: AppWebhookFields.shape.enabled.default(true),
})
export type AppWebhookInput = z.infer<typeof CreateFields>

export const AppWebhook = z
  .object({
    id: Id,
    appId: Id,
    name: z.string(),
    /** Null where this server has another key than the one it was sealed under. */
    url: z.string().nullable(),
    events: z.array(z.enum(webhookEvents)),
    format: z.enum(webhookFormats),
    enabled: z.boolean(),
    /** Why the server disabled it. */
    disabledReason: z.string().nullable(),
    failingSince: Timestamp.nullable(),
    lastDeliveredAt: Timestamp.nullable(),
    /** Until then what is sent bears a signature of the secret before as well. */
    oldSecretUntil: Timestamp.nullable(),
    createdBy: Id,
    createdAt: Timestamp,
    updatedAt: Timestamp,
  })
  .openapi('AppWebhook')

export function presentAppWebhook(
  webhookKey: Uint8Array | null,
  row: typeof appWebhooks.$inferSelect,
): z.infer<typeof AppWebhook> {
  const { id, appId, name, events, format, enabled, disabledReason, createdBy } = row
  return {
    id,
    appId,
    name,
    url: openUrl(webhookKey, row),
    events,
    format,
    enabled,
    disabledReason,
    failingSince: row.failingSince?.toISOString() ?? null,
    lastDeliveredAt: row.lastDeliveredAt?.toISOString() ?? null,
    oldSecretUntil: row.oldSecretUntil?.toISOString() ?? null,
    createdBy,
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
  }
}

function openUrl(key: Uint8Array | null, { id, sealedUrl }: typeof appWebhooks.$inferSelect): string | null {
  if (key === null) return null
  try {
    return openForReceiver(key, 'app-webhook-url', id, sealedUrl).toString()
  } catch {
    return null
  }
}

export const Delivery = z
  .object({
    /** Also in the header `webhook-id`, the same however often it is sent. */
    id: Id,
    webhookId: Id,
    event: z.enum(webhookEvents),
    data: z.record(z.string(), z.union([z.string(), z.number(), z.null()])),
    status: z.enum(deliveryStatuses),
    attempts: z.number().int(),
    nextAttemptAt: Timestamp.nullable(),
    lastAttemptAt: Timestamp.nullable(),
    /** What the receiver answered last, and why that did not count. */
    lastStatus: z.number().int().nullable(),
    lastFailure: z.string().nullable(),
    deliveredAt: Timestamp.nullable(),
    createdAt: Timestamp,
  })
  .openapi('AppWebhookDelivery')

export function presentDelivery(row: typeof appWebhookDeliveries.$inferSelect): z.infer<typeof Delivery> {
  const { id, webhookId, event, facts, status, attempts, lastStatus, lastFailure } = row
  return {
    id,
    webhookId,
    event,
    data: facts,
    status,
    attempts,
    nextAttemptAt: status === 'pending' ? row.nextAttemptAt.toISOString() : null,
    lastAttemptAt: row.lastAttemptAt?.toISOString() ?? null,
    lastStatus,
    lastFailure,
    deliveredAt: row.deliveredAt?.toISOString() ?? null,
    createdAt: row.createdAt.toISOString(),
  }
}
