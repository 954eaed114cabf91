import { integer, pgTable, text, uuid } from 'drizzle-orm/pg-core'
import { at, bytea, createdAt, id } from './columns.js'

export const mails = pgTable('mails', {
  id: id(),
  userId: uuid('user_id'),
  kind: text('kind').notNull(),
  /** Address and text; null once it was sent or given up. */
  sealed: bytea('sealed'),
  status: text('status', { enum: ['pending', 'sent', 'failed'] })
    .notNull()
    .default('pending'),
  attempts: integer('attempts').notNull().default(0),
  nextAttemptAt: at('next_attempt_at').notNull().defaultNow(),
  expiresAt: at('expires_at').notNull(),
  lastFailure: text('last_failure'),
  settledAt: at('settled_at'),
  createdAt: createdAt(),
})

export const passwordResets = pgTable('password_resets', {
  id: id(),
  userId: uuid('user_id').notNull(),
  tokenHash: text('token_hash').notNull(),
  expiresAt: at('expires_at').notNull(),
  createdAt: createdAt(),
})

export const emailChanges = pgTable('email_changes', {
  id: id(),
  userId: uuid('user_id').notNull(),
  email: text('email').notNull(),
  tokenHash: text('token_hash').notNull(),
  expiresAt: at('expires_at').notNull(),
  createdAt: createdAt(),
})
