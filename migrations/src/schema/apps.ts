import { boolean, integer, jsonb, pgTable, primaryKey, text, uuid } from 'drizzle-orm/pg-core'
import { credentialVersionStatuses } from '../transitions.js'
import { at, bytea, createdAt, id, orgId, updatedAt } from './columns.js'

export const apps = pgTable('apps', {
  id: id(),
  orgId: orgId(),
  name: text('name').notNull(),
  type: text('type', { enum: ['android', 'capacitor', 'cordova', 'ios'] }).notNull(),
  appChannelId: uuid('app_channel_id'),
  appChannelDiscoveryEnabled: boolean('app_channel_discovery_enabled').notNull().default(false),
  staticDeliveryEnabled: boolean('static_delivery_enabled').notNull().default(false),
  appEnvironmentId: uuid('app_environment_id'),
  egressHosts: text('egress_hosts').array().notNull().default([]),
  nextBuildNumber: integer('next_build_number').notNull().default(1),
  /** What provisioning profiles are compared with. */
  iosBundleId: text('ios_bundle_id'),
  /** Whether signed builds use a cache of dependencies. */
  releaseCache: boolean('release_cache').notNull().default(false),
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

export const credentialKinds = [
  'android.keystore',
  'apple.identity',
  'apple.app-store-connect-key',
  'apple.push-key',
  'google.service-account',
  'web.signing-key',
] as const
export type CredentialKind = (typeof credentialKinds)[number]

export const credentials = pgTable('credentials', {
  id: id(),
  orgId: orgId(),
  appId: uuid('app_id').notNull(),
  name: text('name').notNull(),
  nameLower: text('name_lower').notNull(),
  platform: text('platform', { enum: ['android', 'ios', 'web'] }).notNull(),
  type: text('type', { enum: ['development', 'production'] }).notNull(),
  kind: text('kind', { enum: credentialKinds }).notNull(),
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
  /** Null once the version is destroyed. */
  envelope: bytea('envelope'),
  status: text('status', { enum: credentialVersionStatuses }).notNull().default('active'),
  activatedAt: at('activated_at'),
  retiredAt: at('retired_at'),
  destroyedAt: at('destroyed_at'),
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

export const provisioningProfiles = pgTable('provisioning_profiles', {
  id: id(),
  orgId: orgId(),
  appId: uuid('app_id').notNull(),
  credentialId: uuid('credential_id'),
  profileUuid: text('profile_uuid').notNull(),
  name: text('name').notNull(),
  teamId: text('team_id').notNull(),
  applicationIdentifier: text('application_identifier').notNull(),
  type: text('type', { enum: ['development', 'ad-hoc', 'app-store', 'enterprise'] }).notNull(),
  certificateFingerprints: text('certificate_fingerprints').array().notNull(),
  content: bytea('content').notNull(),
  fileName: text('file_name').notNull(),
  expiresAt: at('expires_at').notNull(),
  facts: jsonb('facts').$type<Record<string, unknown>>().notNull().default({}),
  createdBy: uuid('created_by'),
  createdAt: createdAt(),
  updatedAt: updatedAt(),
})

export const credentialNotices = pgTable(
  'credential_notices',
  {
    orgId: orgId(),
    credentialId: uuid('credential_id').notNull(),
    version: integer('version').notNull(),
    daysBefore: integer('days_before').notNull(),
    expiresAt: at('expires_at').notNull(),
    createdAt: createdAt(),
  },
  (table) => [primaryKey({ columns: [table.credentialId, table.version, table.daysBefore, table.expiresAt] })],
)

export const deletionCertificates = pgTable('deletion_certificates', {
  id: id(),
  orgId: orgId(),
  subjectKind: text('subject_kind', { enum: ['credential', 'credential-version', 'organization'] }).notNull(),
  subjectId: uuid('subject_id').notNull(),
  document: jsonb('document').$type<Record<string, unknown>>().notNull(),
  createdAt: createdAt(),
})
