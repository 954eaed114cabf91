import { bigint, pgTable, primaryKey, text, uuid } from 'drizzle-orm/pg-core'
import { at, orgId } from './columns.js'

export const auditHeads = pgTable('audit_heads', {
  orgId: uuid('org_id').primaryKey(),
  seq: bigint('seq', { mode: 'number' }).notNull(),
  hash: text('hash').notNull(),
})

export const auditEvents = pgTable(
  'audit_events',
  {
    orgId: orgId(),
    seq: bigint('seq', { mode: 'number' }).notNull(),
    event: text('event').notNull(),
    hash: text('hash').notNull(),
    action: text('action').notNull(),
    createdAt: at('created_at').notNull(),
  },
  (table) => [primaryKey({ columns: [table.orgId, table.seq] })],
)
