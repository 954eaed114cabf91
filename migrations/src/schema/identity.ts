import { bigint, boolean, pgTable, primaryKey, text, uuid } from 'drizzle-orm/pg-core'
import { at, bytea, createdAt, id } from './columns.js'

export const userTotp = pgTable('user_totp', {
  userId: uuid('user_id').primaryKey(),
  sealedSecret: bytea('sealed_secret').notNull(),
  confirmedAt: at('confirmed_at'),
  lastStep: bigint('last_step', { mode: 'number' }).notNull().default(0),
  createdAt: createdAt(),
})

export const recoveryCodes = pgTable(
  'recovery_codes',
  {
    userId: uuid('user_id').notNull(),
    codeHash: text('code_hash').notNull(),
    usedAt: at('used_at'),
    createdAt: createdAt(),
  },
  (table) => [primaryKey({ columns: [table.userId, table.codeHash] })],
)

export const passkeys = pgTable('passkeys', {
  id: id(),
  userId: uuid('user_id').notNull(),
  credentialId: text('credential_id').notNull(),
  publicKey: bytea('public_key').notNull(),
  counter: bigint('counter', { mode: 'number' }).notNull(),
  transports: text('transports').array().notNull().default([]),
  name: text('name').notNull(),
  lastUsedAt: at('last_used_at'),
  createdAt: createdAt(),
})

export const spentValues = pgTable('spent_values', {
  hash: text('hash').primaryKey(),
  expiresAt: at('expires_at').notNull(),
})

export const deviceCodeStates = ['pending', 'approved', 'denied', 'spent'] as const

export const deviceCodes = pgTable('device_codes', {
  id: id(),
  deviceHash: text('device_hash').notNull(),
  userCodeHash: text('user_code_hash').notNull(),
  userAgent: text('user_agent').notNull().default(''),
  state: text('state', { enum: deviceCodeStates }).notNull().default('pending'),
  userId: uuid('user_id'),
  /** As of the session in which it was approved. */
  onlyOrgId: uuid('only_org_id'),
  twoFactor: boolean('two_factor').notNull().default(false),
  expiresAt: at('expires_at').notNull(),
  createdAt: createdAt(),
})
