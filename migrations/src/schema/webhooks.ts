import { bigint, integer, pgTable, text } from 'drizzle-orm/pg-core'
import { at, bytea, createdAt, id, orgId } from './columns.js'

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
