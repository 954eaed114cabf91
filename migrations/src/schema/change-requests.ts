import { boolean, jsonb, pgTable, text, uuid } from 'drizzle-orm/pg-core'
import { changeRequestStates } from '../transitions.js'
import { at, createdAt, id, orgId, updatedAt } from './columns.js'

export const verdicts = ['match', 'mismatch', 'unknown'] as const

export const changeRequests = pgTable('change_requests', {
  id: id(),
  orgId: orgId(),
  appId: uuid('app_id'),
  action: text('action').notNull(),
  subject: jsonb('subject').$type<Record<string, string>>().notNull(),
  entity: text('entity'),
  content: text('content').notNull(),
  contentHash: text('content_hash').notNull(),
  submittedBy: uuid('submitted_by').notNull(),
  submittedVia: text('submitted_via').notNull(),
  submittedViaId: uuid('submitted_via_id'),
  submitterRoots: uuid('submitter_roots').array().notNull(),
  state: text('state', { enum: changeRequestStates }).notNull().default('submitted'),
  exception: boolean('exception').notNull().default(false),
  retroactive: boolean('retroactive').notNull().default(false),
  postApprovalDueAt: at('post_approval_due_at'),
  overdueAt: at('overdue_at'),
  approvedAt: at('approved_at'),
  approvalExpiresAt: at('approval_expires_at'),
  executedAt: at('executed_at'),
  supersededAt: at('superseded_at'),
  verdict: text('verdict', { enum: verdicts }),
  evidenceHash: text('evidence_hash'),
  readAt: at('read_at'),
  createdAt: createdAt(),
  updatedAt: updatedAt(),
})

export const changeRequestSteps = pgTable('change_request_steps', {
  id: id(),
  orgId: orgId(),
  changeRequestId: uuid('change_request_id').notNull(),
  step: text('step', {
    enum: [
      'approved',
      'rejected',
      'canceled',
      'voided',
      'executed',
      'returned',
      'attested',
      'reconciled',
      'closed',
      'overdue',
    ],
  }).notNull(),
  actorType: text('actor_type', { enum: ['user', 'system'] }).notNull(),
  actorId: text('actor_id').notNull(),
  via: text('via'),
  viaId: uuid('via_id'),
  roots: uuid('roots').array().notNull(),
  exception: boolean('exception').notNull().default(false),
  reason: text('reason'),
  evidence: jsonb('evidence').$type<Record<string, unknown>>(),
  evidenceHash: text('evidence_hash'),
  createdAt: createdAt(),
})
