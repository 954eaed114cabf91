import { bigint, pgTable, primaryKey, text, uuid } from 'drizzle-orm/pg-core'
import { at, bytea, createdAt, orgId } from './columns.js'

export const auditHeads = pgTable('audit_heads', {
  orgId: uuid('org_id').primaryKey(),
  seq: bigint('seq', { mode: 'number' }).notNull(),
  hash: text('hash').notNull(),
  checkpointSize: bigint('checkpoint_size', { mode: 'number' }).notNull().default(0),
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

/** What an event commits to and does not say: it can be erased. */
export const personalValues = pgTable(
  'personal_values',
  {
    orgId: orgId(),
    seq: bigint('seq', { mode: 'number' }).notNull(),
    name: text('name').notNull(),
    salt: bytea('salt').notNull(),
    value: text('value').notNull(),
  },
  (table) => [primaryKey({ columns: [table.orgId, table.seq, table.name] })],
)

export const auditCheckpoints = pgTable(
  'audit_checkpoints',
  {
    orgId: orgId(),
    size: bigint('size', { mode: 'number' }).notNull(),
    note: text('note').notNull(),
    publishedAt: at('published_at'),
    createdAt: createdAt(),
  },
  (table) => [primaryKey({ columns: [table.orgId, table.size] })],
)

export const auditTiles = pgTable(
  'audit_tiles',
  {
    orgId: orgId(),
    tile: bigint('tile', { mode: 'number' }).notNull(),
    hash: bytea('hash').notNull(),
  },
  (table) => [primaryKey({ columns: [table.orgId, table.tile] })],
)
