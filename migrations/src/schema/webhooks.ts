import { bigint, boolean, integer, jsonb, pgTable, text, uuid } from 'drizzle-orm/pg-core'
import { at, bytea, createdAt, id, orgId, updatedAt } from './columns.js'

export const checkpointWebhooks = pgTable('checkpoint_webhooks', {
  id: id(),
  orgId: orgId(),
  url: text('url').notNull(),
  sealedSecret: bytea('sealed_secret').notNull(),
  /** Events in the last checkpoint that was taken. */
  deliveredSize: bigint('delivered_size', { mode: 'number' }).notNull(),
  failures: integer('failures').notNull().default(0),
  lastFailure: text('last_failure'),
  nextAttemptAt: at('next_attempt_at').notNull().defaultNow(),
  deliveredAt: at('delivered_at'),
  createdAt: createdAt(),
})

export const webhookEvents = ['app_build_created', 'app_deployment_created', 'job_created', 'job_finished'] as const
export type WebhookEvent = (typeof webhookEvents)[number]
export const webhookFormats = ['raw', 'slack', 'discord', 'teams'] as const
export const deliveryStatuses = ['pending', 'delivered', 'failed'] as const

export const appWebhooks = pgTable('app_webhooks', {
  id: id(),
  orgId: orgId(),
  appId: uuid('app_id').notNull(),
  name: text('name').notNull(),
  /** Of the address, which itself may be a secret. */
  host: text('host').notNull(),
  sealedUrl: bytea('sealed_url').notNull(),
  sealedSecret: bytea('sealed_secret').notNull(),
  sealedOldSecret: bytea('sealed_old_secret'),
  oldSecretUntil: at('old_secret_until'),
  events: text('events', { enum: webhookEvents }).array().notNull(),
  format: text('format', { enum: webhookFormats }).notNull(),
  enabled: boolean('enabled').notNull().default(true),
  disabledReason: text('disabled_reason'),
  /** Nothing was taken since then, though it was tried. */
  failingSince: at('failing_since'),
  lastDeliveredAt: at('last_delivered_at'),
  createdBy: uuid('created_by').notNull(),
  createdAt: createdAt(),
  updatedAt: updatedAt(),
})

/** What an event tells of, as the trigger `note_webhook_event()` writes it; times are milliseconds. */
export type WebhookFacts = Record<string, string | number | null>

export const appWebhookDeliveries = pgTable('app_webhook_deliveries', {
  id: id(),
  orgId: orgId(),
  webhookId: uuid('webhook_id').notNull(),
  event: text('event', { enum: webhookEvents }).notNull(),
  facts: jsonb('facts').$type<WebhookFacts>().notNull(),
  status: text('status', { enum: deliveryStatuses }).notNull().default('pending'),
  attempts: integer('attempts').notNull().default(0),
  nextAttemptAt: at('next_attempt_at').notNull().defaultNow(),
  lastAttemptAt: at('last_attempt_at'),
  lastStatus: integer('last_status'),
  lastFailure: text('last_failure'),
  deliveredAt: at('delivered_at'),
  createdAt: createdAt(),
})
