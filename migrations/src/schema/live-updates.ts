import { bigint, doublePrecision, integer, jsonb, pgTable, primaryKey, text, uuid } from 'drizzle-orm/pg-core'
import { at, createdAt, id, orgId, updatedAt } from './columns.js'

export const bundles = pgTable('bundles', {
  id: id(),
  orgId: orgId(),
  appId: uuid('app_id').notNull(),
  buildId: uuid('build_id').notNull(),
  artifactType: text('artifact_type', { enum: ['zip', 'manifest'] }).notNull(),
  status: text('status', { enum: ['pending', 'ready', 'failed'] })
    .notNull()
    .default('pending'),
  channelName: text('channel_name'),
  rolloutPercentage: doublePrecision('rollout_percentage').notNull().default(1),
  checksum: text('checksum'),
  signature: text('signature'),
  url: text('url'),
  fileId: uuid('file_id'),
  releaseEnvelope: jsonb('release_envelope').$type<Record<string, unknown>>(),
  releaseSequence: bigint('release_sequence', { mode: 'number' }),
  zipObjectKey: text('zip_object_key'),
  zipSha256: text('zip_sha256'),
  zipSizeBytes: bigint('zip_size_bytes', { mode: 'number' }),
  readyAt: at('ready_at'),
  createdBy: uuid('created_by'),
  createdAt: createdAt(),
  updatedAt: updatedAt(),
})

export const bundleFiles = pgTable('bundle_files', {
  id: id(),
  orgId: orgId(),
  bundleId: uuid('bundle_id').notNull(),
  href: text('href'),
  name: text('name').notNull(),
  mimeType: text('mime_type').notNull(),
  sizeBytes: bigint('size_bytes', { mode: 'number' }).notNull(),
  sha256: text('sha256').notNull(),
  signature: text('signature'),
  objectKey: text('object_key'),
  brotliObjectKey: text('brotli_object_key'),
  brotliSizeBytes: bigint('brotli_size_bytes', { mode: 'number' }),
  status: text('status', { enum: ['pending', 'ready'] })
    .notNull()
    .default('pending'),
  createdAt: createdAt(),
})

export const channels = pgTable('channels', {
  id: id(),
  orgId: orgId(),
  appId: uuid('app_id').notNull(),
  name: text('name').notNull(),
  appDeploymentId: uuid('app_deployment_id'),
  protectedAt: at('protected_at'),
  pausedAt: at('paused_at'),
  expiresAt: at('expires_at'),
  createdAt: createdAt(),
  updatedAt: updatedAt(),
})

export const deployments = pgTable('deployments', {
  id: id(),
  orgId: orgId(),
  appId: uuid('app_id').notNull(),
  appBuildId: uuid('app_build_id').notNull(),
  appChannelId: uuid('app_channel_id').notNull(),
  bundleId: uuid('bundle_id').notNull(),
  rolloutPercentage: doublePrecision('rollout_percentage').notNull().default(1),
  createdBy: uuid('created_by'),
  createdAt: createdAt(),
  updatedAt: updatedAt(),
})

export const devices = pgTable(
  'devices',
  {
    orgId: orgId(),
    appId: uuid('app_id').notNull(),
    id: text('id').notNull(),
    platform: integer('platform').notNull(),
    osVersion: text('os_version'),
    appVersionCode: text('app_version_code'),
    appVersionName: text('app_version_name'),
    pluginVersion: text('plugin_version'),
    customId: text('custom_id'),
    appChannelId: uuid('app_channel_id'),
    appDeploymentId: uuid('app_deployment_id'),
    bundleId: uuid('bundle_id'),
    forcedAppChannelId: uuid('forced_app_channel_id'),
    lastSeenAt: at('last_seen_at').notNull().defaultNow(),
    createdAt: createdAt(),
  },
  (table) => [primaryKey({ columns: [table.appId, table.id] })],
)

export const bundleCopyHazards = pgTable(
  'bundle_copy_hazards',
  {
    orgId: orgId(),
    appId: uuid('app_id').notNull(),
    fromBundleId: uuid('from_bundle_id').notNull(),
    toBundleId: uuid('to_bundle_id').notNull(),
    href: text('href').notNull(),
  },
  (table) => [primaryKey({ columns: [table.toBundleId, table.fromBundleId] })],
)

export const appChanges = pgTable('app_changes', {
  appId: uuid('app_id').primaryKey(),
  orgId: orgId(),
  changedIn: bigint('changed_in', { mode: 'number' }).notNull(),
})

export const staticApps = pgTable('static_apps', {
  appId: uuid('app_id').primaryKey(),
  orgId: orgId(),
  changedIn: bigint('changed_in', { mode: 'number' }),
  renewAt: at('renew_at'),
  claimedUntil: at('claimed_until'),
  wantedIn: bigint('wanted_in', { mode: 'number' }).notNull().default(0),
})

export const staticObjects = pgTable(
  'static_objects',
  {
    appId: uuid('app_id').notNull(),
    orgId: orgId(),
    path: text('path').notNull(),
    digest: text('digest').notNull(),
    writtenAt: at('written_at').notNull(),
    unusedSince: at('unused_since'),
  },
  (table) => [primaryKey({ columns: [table.appId, table.path] })],
)

export const bundlePatches = pgTable('bundle_patches', {
  id: id(),
  orgId: orgId(),
  appId: uuid('app_id').notNull(),
  fromBundleId: uuid('from_bundle_id').notNull(),
  toBundleId: uuid('to_bundle_id').notNull(),
  wantedEffort: text('wanted_effort', { enum: ['fast', 'best'] }).default('fast'),
  claimedUntil: at('claimed_until'),
  attempts: integer('attempts').notNull().default(0),
  objectKey: text('object_key'),
  sizeBytes: bigint('size_bytes', { mode: 'number' }),
  sha256: text('sha256'),
  refusal: text('refusal'),
  createdAt: createdAt(),
  updatedAt: updatedAt(),
})

export const embeddedBundles = pgTable(
  'embedded_bundles',
  {
    orgId: orgId(),
    appId: uuid('app_id').notNull(),
    platform: text('platform', { enum: ['android', 'ios', 'electron', 'web'] }).notNull(),
    versionCode: text('version_code').notNull(),
    bundleId: uuid('bundle_id').notNull(),
    createdAt: createdAt(),
  },
  (table) => [primaryKey({ columns: [table.appId, table.platform, table.versionCode] })],
)
