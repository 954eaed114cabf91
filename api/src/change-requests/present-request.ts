import { changeRequestStates, verdicts } from '@capstan/migrations'
import { z } from '@hono/zod-openapi'
import { Id, Timestamp } from '../define-route.js'
import { readContent } from './change.js'
import type { ChangeRequest as Row, Step as StepRow } from './queries.js'

export const ChangeRequest = z
  .object({
    id: Id,
    action: z.string(),
    subject: z.record(z.string(), z.string()).openapi({ description: 'Ids of what is changed.' }),
    effect: z
      .record(z.string(), z.unknown())
      .openapi({ description: 'What is consented to, and what a reading finds.' }),
    details: z.record(z.string(), z.unknown()).openapi({ description: 'What else is consented to.' }),
    content: z.string().openapi({ description: 'Canonical JSON of all of that, as it was hashed.' }),
    contentHash: z.string(),
    state: z.enum(changeRequestStates),
    exception: z.boolean().openapi({ description: 'Approved by its submitter, the only approver there was.' }),
    retroactive: z.boolean().openapi({ description: 'Done at once, and to be approved afterwards.' }),
    submittedBy: Id,
    submitterRoots: z.array(Id).openapi({ description: 'The people behind the submitter.' }),
    approvedAt: Timestamp.nullable(),
    approvalExpiresAt: Timestamp.nullable(),
    executedAt: Timestamp.nullable(),
    postApprovalDueAt: Timestamp.nullable(),
    overdueAt: Timestamp.nullable(),
    supersededAt: Timestamp.nullable(),
    verdict: z.enum(verdicts).nullable(),
    evidenceHash: z.string().nullable(),
    readAt: Timestamp.nullable(),
    createdAt: Timestamp,
  })
  .openapi('ChangeRequest')

export const ChangeRequestWithSteps = ChangeRequest.extend({
  steps: z.array(
    z.object({
      step: z.string(),
      actorType: z.enum(['user', 'system']),
      actorId: z.string(),
      via: z.string().nullable(),
      roots: z.array(Id),
      exception: z.boolean(),
      reason: z.string().nullable(),
      evidence: z.record(z.string(), z.unknown()).nullable(),
      evidenceHash: z.string().nullable(),
      createdAt: Timestamp,
    }),
  ),
}).openapi('ChangeRequestWithSteps')

export function presentRequest(row: Row): z.infer<typeof ChangeRequest> {
  const { id, action, subject, content, contentHash, state, exception, retroactive, submittedBy, submitterRoots } = row
  const { effect, details } = readContent(content)
  return {
    id,
    action,
    subject,
    effect,
    details,
    content,
    contentHash,
    state,
    exception,
    retroactive,
    submittedBy,
    submitterRoots,
    approvedAt: iso(row.approvedAt),
    approvalExpiresAt: iso(row.approvalExpiresAt),
    executedAt: iso(row.executedAt),
    postApprovalDueAt: iso(row.postApprovalDueAt),
    overdueAt: iso(row.overdueAt),
    supersededAt: iso(row.supersededAt),
    verdict: row.verdict,
    evidenceHash: row.evidenceHash,
    readAt: iso(row.readAt),
    createdAt: row.createdAt.toISOString(),
  }
}

export function presentWithSteps(row: Row, steps: readonly StepRow[]): z.infer<typeof ChangeRequestWithSteps> {
  return { ...presentRequest(row), steps: steps.map(presentStep) }
}

function presentStep(row: StepRow): z.infer<typeof ChangeRequestWithSteps>['steps'][number] {
  const { step, actorType, actorId, via, roots, exception, reason, evidence, evidenceHash, createdAt } = row
  const at = createdAt.toISOString()
  return { step, actorType, actorId, via, roots, exception, reason, evidence, evidenceHash, createdAt: at }
}

const iso = (date: Date | null): string | null => date?.toISOString() ?? null
