import { integer, jsonb, pgTable, text, uuid } from 'drizzle-orm/pg-core'
import { at, createdAt, id, orgId } from './columns.js'

export const trustPolicies = pgTable('trust_policies', {
  id: id(),
  orgId: orgId(),
  createdBy: uuid('created_by').notNull(),
  name: text('name').notNull(),
  issuer: text('issuer').notNull(),
  audience: text('audience').notNull(),
  /** Claim to the list of values that it may have. */
  claims: jsonb('claims').$type<Record<string, string[]>>().notNull(),
  scopes: text('scopes').array().notNull(),
  cidrs: text('cidrs').array(),
  tokenSeconds: integer('token_seconds').notNull(),
  lastUsedAt: at('last_used_at'),
  createdAt: createdAt(),
})
