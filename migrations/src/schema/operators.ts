import { bigint, integer, pgTable, primaryKey, text, uuid } from 'drizzle-orm/pg-core'
import { at, createdAt, id, orgId } from './columns.js'

export const supportScopes = ['logs', 'source', 'builds'] as const
export type SupportScope = (typeof supportScopes)[number]
export const supportGrantStatuses = ['requested', 'approved', 'declined', 'revoked'] as const

export const operators = pgTable('operators', {
  id: id(),
  name: text('name').notNull(),
  tokenHash: text('token_hash').notNull(),
  lastSeenAt: at('last_seen_at'),
  revokedAt: at('revoked_at'),
  createdAt: createdAt(),
})

export const supportGrants = pgTable('support_grants', {
  id: id(),
  orgId: orgId(),
  operatorId: uuid('operator_id').notNull(),
  operatorName: text('operator_name').notNull(),
  scope: text('scope', { enum: supportScopes }).notNull(),
  caseReference: text('case_reference').notNull(),
  reason: text('reason').notNull(),
  hours: integer('hours').notNull(),
  status: text('status', { enum: supportGrantStatuses }).notNull().default('requested'),
  decidedBy: uuid('decided_by'),
  approvedAt: at('approved_at'),
  expiresAt: at('expires_at'),
  endedAt: at('ended_at'),
  createdAt: createdAt(),
})

export const incidentStates = ['detect', 'contain', 'remediate', 'review', 'closed'] as const
export type IncidentState = (typeof incidentStates)[number]
export const incidentClasses = ['personal_data', 'source', 'build_secret', 'store_credential', 'other'] as const
export type IncidentClass = (typeof incidentClasses)[number]
export const noticeKinds = ['personal_data', 'confidential_material'] as const
export type NoticeKind = (typeof noticeKinds)[number]

export const incidents = pgTable('incidents', {
  id: id(),
  title: text('title').notNull(),
  classes: text('classes', { enum: incidentClasses }).array().notNull(),
  state: text('state', { enum: incidentStates }).notNull().default('detect'),
  awareAt: at('aware_at').notNull(),
  assessedAt: at('assessed_at'),
  /** Null: the system itself. */
  createdBy: uuid('created_by'),
  warnedAt: at('warned_at'),
  missedAt: at('missed_at'),
  createdAt: createdAt(),
  closedAt: at('closed_at'),
})

export const incidentSteps = pgTable('incident_steps', {
  id: id(),
  incidentId: uuid('incident_id').notNull(),
  state: text('state', { enum: incidentStates }).notNull(),
  evidence: text('evidence').notNull(),
  operatorId: uuid('operator_id'),
  createdAt: createdAt(),
})

export const incidentOrganizations = pgTable(
  'incident_organizations',
  {
    orgId: orgId(),
    incidentId: uuid('incident_id').notNull(),
    events: bigint('events', { mode: 'number' }).notNull(),
    warnedAt: at('warned_at'),
    missedAt: at('missed_at'),
    createdAt: createdAt(),
  },
  (table) => [primaryKey({ columns: [table.orgId, table.incidentId] })],
)

export const incidentNotices = pgTable('incident_notices', {
  id: id(),
  orgId: orgId(),
  incidentId: uuid('incident_id').notNull(),
  kind: text('kind', { enum: noticeKinds }).notNull(),
  message: text('message').notNull(),
  createdAt: createdAt(),
})
