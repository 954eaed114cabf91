import { integer, jsonb, pgTable, text, uuid } from 'drizzle-orm/pg-core'
import { at, bytea, createdAt, id, orgId } from './columns.js'
import type { Role } from './tenancy.js'

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

export const joinRoles = ['none', 'viewer', 'member', 'billing'] as const satisfies readonly Role[]

export const identityProviders = pgTable('identity_providers', {
  id: id(),
  orgId: orgId(),
  name: text('name').notNull(),
  issuer: text('issuer').notNull(),
  clientId: text('client_id').notNull(),
  sealedSecret: bytea('sealed_secret'),
  joinRole: text('join_role', { enum: joinRoles }),
  createdAt: createdAt(),
})

export const userIdentities = pgTable('user_identities', {
  id: id(),
  orgId: orgId(),
  userId: uuid('user_id').notNull(),
  issuer: text('issuer').notNull(),
  subject: text('subject').notNull(),
  createdAt: createdAt(),
})

export const signInFlows = pgTable('sign_in_flows', {
  id: id(),
  stateHash: text('state_hash').notNull(),
  browserHash: text('browser_hash').notNull(),
  providerId: uuid('provider_id').notNull(),
  sealedSecrets: bytea('sealed_secrets').notNull(),
  userCode: text('user_code').notNull().default(''),
  /** The person who links the identity; null: a sign-in. */
  userId: uuid('user_id'),
  /** In which that person asked for it. */
  sessionId: uuid('session_id'),
  expiresAt: at('expires_at').notNull(),
  createdAt: createdAt(),
})
