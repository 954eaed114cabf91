import { changeRequests, type Transaction } from '@capstan/migrations'
import { and, eq, isNull } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { openForOrganization } from '../incidents/open-for-organization.js'
import { type By, type ChangeRequest, recordStep } from './queries.js'

/** What was done at once and not approved within its day is an incident: once. */
export async function markOverdue(tx: Transaction, by: By, request: ChangeRequest): Promise<boolean> {
  const [marked] = await tx
    .update(changeRequests)
    .set({ overdueAt: by.now(), updatedAt: by.now() })
    .where(
      and(
        eq(changeRequests.id, request.id),
        eq(changeRequests.state, 'executed'),
        isNull(changeRequests.approvedAt),
        isNull(changeRequests.overdueAt),
      ),
    )
    .returning({ id: changeRequests.id })
  if (!marked) return false
  await recordStep(tx, by, request, { step: 'overdue' })
  await recordAudit(tx, by, {
    action: 'change_request.post_approval_overdue',
    target: { changeRequest: request.id, ...request.subject },
    outcome: 'refused',
    data: { action: request.action, contentHash: request.contentHash },
  })
  await openForOrganization(tx, by, {
    title: 'What one person did at once was not approved within a day',
    evidence: `Change request ${request.id}: ${request.action}, done at ${request.executedAt?.toISOString() ?? 'an unknown time'}.`,
    target: { changeRequest: request.id },
  })
  return true
}
