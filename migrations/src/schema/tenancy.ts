import { boolean, integer, pgTable, primaryKey, text, uuid } from 'drizzle-orm/pg-core'
import { at, createdAt, id, orgId, updatedAt } from './columns.js'

/** `none`: belongs to the organization and has what grants say, nothing else. */
export const roles = ['owner', 'admin', 'approver', 'billing', 'member', 'viewer', 'none'] as const
export type Role = (typeof roles)[number]

export const sessionClients = ['api', 'cli', 'page'] as const
export const apiTokenKinds = ['personal', 'service'] as const

export const organizations = pgTable('organizations', {
  id: id(),
  name: text('name').notNull(),
  webCertificatesAllowed: boolean('web_certificates_allowed').notNull().default(false),
  maxConcurrentBuilds: integer('max_concurrent_builds'),
  twoFactorRequired: boolean('two_factor_required').notNull().default(false),
  stepUpRequired: boolean('step_up_required').notNull().default(false),
  ipAllowlist: text('ip_allowlist').array(),
  countryAllowlist: text('country_allowlist').array(),
  artifactRetentionDays: integer('artifact_retention_days'),
  separationOfDuties: boolean('separation_of_duties').notNull().default(false),
  soleOperatorSince: at('sole_operator_since'),
  soleOperatorUntil: at('sole_operator_until'),
  soleOperatorReason: text('sole_operator_reason'),
  approverLeftAt: at('approver_left_at'),
  /** Since then nobody belongs to it, its keys are destroyed, and its content is being erased. */
  terminatingAt: at('terminating_at'),
  terminatedAt: at('terminated_at'),
  createdAt: createdAt(),
  updatedAt: updatedAt(),
})

export const users = pgTable('users', {
  id: id(),
  email: text('email').notNull(),
  name: text('name'),
  /** Brought in by an organization's identity provider, which says the address too. */
  federated: boolean('federated').notNull().default(false),
  lastSeenAt: at('last_seen_at'),
  createdAt: createdAt(),
  updatedAt: updatedAt(),
})

export const memberships = pgTable(
  'memberships',
  {
    orgId: orgId(),
    userId: uuid('user_id').notNull(),
    role: text('role', { enum: roles }).notNull(),
    /** Since then it counts as if it were not there. */
    suspendedAt: at('suspended_at'),
    lastUsedAt: at('last_used_at'),
    createdAt: createdAt(),
  },
  (table) => [primaryKey({ columns: [table.orgId, table.userId] })],
)

export const userPasswords = pgTable('user_passwords', {
  userId: uuid('user_id').primaryKey(),
  hash: text('hash').notNull(),
  updatedAt: updatedAt(),
})

export const sessions = pgTable('sessions', {
  id: id(),
  userId: uuid('user_id').notNull(),
  tokenHash: text('token_hash').notNull(),
  client: text('client', { enum: sessionClients }).notNull().default('api'),
  userAgent: text('user_agent').notNull().default(''),
  twoFactor: boolean('two_factor').notNull().default(false),
  secondFactorAt: at('second_factor_at'),
  /** Opened through the identity provider of this organization, and good for nothing but it. */
  onlyOrgId: uuid('only_org_id'),
  expiresAt: at('expires_at').notNull(),
  lastSeenAt: at('last_seen_at'),
  revokedAt: at('revoked_at'),
  createdAt: createdAt(),
})

export const apiTokens = pgTable('api_tokens', {
  id: id(),
  orgId: orgId(),
  userId: uuid('user_id').notNull(),
  name: text('name').notNull(),
  tokenHash: text('token_hash').notNull(),
  pepperVersion: integer('pepper_version').notNull().default(1),
  lastFour: text('last_four').notNull(),
  kind: text('kind', { enum: apiTokenKinds }).notNull().default('personal'),
  scopes: text('scopes').array(),
  cidrs: text('cidrs').array(),
  replacesId: uuid('replaces_id'),
  rotatedBy: uuid('rotated_by'),
  createdThrough: uuid('created_through'),
  /** The policy by which it was exchanged for a foreign token. */
  trustPolicyId: uuid('trust_policy_id'),
  expiresAt: at('expires_at').notNull(),
  lastUsedAt: at('last_used_at'),
  revokedAt: at('revoked_at'),
  createdAt: createdAt(),
})

export const workers = pgTable('workers', {
  id: id(),
  name: text('name').notNull(),
  tokenHash: text('token_hash').notNull(),
  capabilities: text('capabilities').array().notNull().default([]),
  slots: integer('slots').notNull().default(1),
  reportedAt: at('reported_at'),
  lastSeenAt: at('last_seen_at'),
  revokedAt: at('revoked_at'),
  createdAt: createdAt(),
})
