import { integer, pgTable, text, uuid } from 'drizzle-orm/pg-core'
import { bytea, createdAt, id, orgId, updatedAt } from './columns.js'

export const environments = pgTable('environments', {
  id: id(),
  orgId: orgId(),
  appId: uuid('app_id').notNull(),
  name: text('name').notNull(),
  nameLower: text('name_lower').notNull(),
  createdBy: uuid('created_by'),
  updatedBy: uuid('updated_by'),
  createdAt: createdAt(),
  updatedAt: updatedAt(),
})

export const environmentVariables = pgTable('environment_variables', {
  id: id(),
  orgId: orgId(),
  environmentId: uuid('environment_id').notNull(),
  key: text('key').notNull(),
  value: text('value').notNull(),
  createdAt: createdAt(),
  updatedAt: updatedAt(),
})

export const nativeConfigurations = pgTable('native_configurations', {
  id: id(),
  orgId: orgId(),
  appId: uuid('app_id').notNull(),
  name: text('name').notNull(),
  nameLower: text('name_lower').notNull(),
  displayName: text('display_name'),
  packageName: text('package_name'),
  createdBy: uuid('created_by'),
  updatedBy: uuid('updated_by'),
  createdAt: createdAt(),
  updatedAt: updatedAt(),
})

export const gitConnections = pgTable('git_connections', {
  id: id(),
  orgId: orgId(),
  name: text('name').notNull(),
  nameLower: text('name_lower').notNull(),
  provider: text('provider').notNull(),
  host: text('host').notNull(),
  authKind: text('auth_kind', { enum: ['none', 'basic', 'ssh'] }).notNull(),
  createdBy: uuid('created_by'),
  createdAt: createdAt(),
  updatedAt: updatedAt(),
})

export const appRepositories = pgTable('app_repositories', {
  appId: uuid('app_id').primaryKey(),
  orgId: orgId(),
  gitConnectionId: uuid('git_connection_id'),
  provider: text('provider').notNull(),
  path: text('path').notNull(),
  url: text('url').notNull(),
  createdAt: createdAt(),
  updatedAt: updatedAt(),
})

/**
 * Secrets that are no signing keys: of an environment (`name` is the variable's), of one build, or of a git connection
 * (`appId` is null there). The API writes envelopes and cannot open them.
 */
export const sealedValues = pgTable('sealed_values', {
  id: id(),
  orgId: orgId(),
  appId: uuid('app_id'),
  environmentId: uuid('environment_id'),
  buildId: uuid('build_id'),
  gitConnectionId: uuid('git_connection_id'),
  name: text('name').notNull(),
  envelope: bytea('envelope').notNull(),
  kekId: text('kek_id').notNull(),
  kekVersion: integer('kek_version').notNull(),
  createdBy: uuid('created_by'),
  createdAt: createdAt(),
})
