import { boolean, integer, jsonb, pgTable, text, uuid } from 'drizzle-orm/pg-core'
import { at, bytea, createdAt, id, orgId, updatedAt } from './columns.js'

export const apps = pgTable('apps', {
  id: id(),
  orgId: orgId(),
  name: text('name').notNull(),
  type: text('type', { enum: ['android', 'capacitor', 'cordova', 'ios'] }).notNull(),
  appChannelId: uuid('app_channel_id'),
  appChannelDiscoveryEnabled: boolean('app_channel_discovery_enabled').notNull().default(false),
  nextBuildNumber: integer('next_build_number').notNull().default(1),
  createdAt: createdAt(),
  updatedAt: updatedAt(),
})

export const appPublicKeys = pgTable('app_public_keys', {
  id: id(),
  orgId: orgId(),
  appId: uuid('app_id').notNull(),
  pem: text('pem').notNull(),
  fingerprintSha256: text('fingerprint_sha256').notNull(),
  revokedAt: at('revoked_at'),
  createdBy: uuid('created_by'),
  createdAt: createdAt(),
})

export const credentials = pgTable('credentials', {
  id: id(),
  orgId: orgId(),
  appId: uuid('app_id').notNull(),
  name: text('name').notNull(),
  nameLower: text('name_lower').notNull(),
  platform: text('platform', { enum: ['android', 'ios', 'web'] }).notNull(),
  type: text('type', { enum: ['development', 'production'] }).notNull(),
  kind: text('kind', { enum: ['android.keystore'] }).notNull(),
  currentVersion: integer('current_version').notNull(),
  createdBy: uuid('created_by'),
  updatedBy: uuid('updated_by'),
  createdAt: createdAt(),
  updatedAt: updatedAt(),
})

export const credentialVersions = pgTable('credential_versions', {
  id: id(),
  orgId: orgId(),
  credentialId: uuid('credential_id').notNull(),
  version: integer('version').notNull(),
  envelope: bytea('envelope').notNull(),
  kekId: text('kek_id').notNull(),
  kekVersion: integer('kek_version').notNull(),
  fingerprintSha256: text('fingerprint_sha256').notNull(),
  keyAlias: text('key_alias'),
  fileName: text('file_name').notNull(),
  fileMimeType: text('file_mime_type').notNull(),
  fileSizeBytes: integer('file_size_bytes').notNull(),
  expiresAt: at('expires_at'),
  facts: jsonb('facts').$type<Record<string, unknown>>().notNull().default({}),
  createdBy: uuid('created_by'),
  createdAt: createdAt(),
})
