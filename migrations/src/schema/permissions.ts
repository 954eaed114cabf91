import { pgTable, primaryKey, text, uuid } from 'drizzle-orm/pg-core'
import { at, createdAt, id, orgId, updatedAt } from './columns.js'
import { roles } from './tenancy.js'

/** What can be given for an app, a channel, or through a team. */
export const grantableRoles = ['admin', 'member', 'viewer'] as const
export type GrantableRole = (typeof grantableRoles)[number]

export const teams = pgTable('teams', {
  id: id(),
  orgId: orgId(),
  name: text('name').notNull(),
  createdAt: createdAt(),
  updatedAt: updatedAt(),
})

export const teamMembers = pgTable(
  'team_members',
  {
    orgId: orgId(),
    teamId: uuid('team_id').notNull(),
    userId: uuid('user_id').notNull(),
    suspendedAt: at('suspended_at'),
    createdAt: createdAt(),
  },
  (table) => [primaryKey({ columns: [table.teamId, table.userId] })],
)

/** Of one person or one team. Without an app: of a team, in the whole organization. */
export const roleGrants = pgTable('role_grants', {
  id: id(),
  orgId: orgId(),
  userId: uuid('user_id'),
  teamId: uuid('team_id'),
  role: text('role', { enum: grantableRoles }).notNull(),
  appId: uuid('app_id'),
  channelId: uuid('channel_id'),
  suspendedAt: at('suspended_at'),
  lastUsedAt: at('last_used_at'),
  createdBy: uuid('created_by'),
  createdAt: createdAt(),
})

/** An owner is made of a member, by another owner. */
export const invitableRoles = ['admin', 'approver', 'billing', 'member', 'viewer', 'none'] as const
export const invitationStatuses = ['accepted', 'canceled', 'pending', 'rejected'] as const

export const invitations = pgTable('invitations', {
  id: id(),
  orgId: orgId(),
  email: text('email').notNull(),
  role: text('role', { enum: invitableRoles }).notNull(),
  tokenHash: text('token_hash').notNull(),
  status: text('status', { enum: invitationStatuses }).notNull().default('pending'),
  createdBy: uuid('created_by'),
  acceptedBy: uuid('accepted_by'),
  changeRequestId: uuid('change_request_id'),
  expiresAt: at('expires_at').notNull(),
  decidedAt: at('decided_at'),
  createdAt: createdAt(),
})

export const accessReviews = pgTable('access_reviews', {
  id: id(),
  orgId: orgId(),
  dueAt: at('due_at').notNull(),
  createdBy: uuid('created_by'),
  closedAt: at('closed_at'),
  createdAt: createdAt(),
})

export const reviewItemKinds = ['membership', 'grant', 'team-member', 'service-token'] as const
export const reviewDecisions = ['attested', 'revoked', 'suspended', 'kept'] as const

export const accessReviewItems = pgTable('access_review_items', {
  id: id(),
  orgId: orgId(),
  reviewId: uuid('review_id').notNull(),
  kind: text('kind', { enum: reviewItemKinds }).notNull(),
  userId: uuid('user_id'),
  teamId: uuid('team_id'),
  grantId: uuid('grant_id'),
  role: text('role', { enum: roles }),
  appId: uuid('app_id'),
  channelId: uuid('channel_id'),
  tokenId: uuid('token_id'),
  lastUsedAt: at('last_used_at'),
  decision: text('decision', { enum: reviewDecisions }),
  decidedBy: uuid('decided_by'),
  decidedAt: at('decided_at'),
})
