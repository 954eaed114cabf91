import { changeRequests, type Transaction } from '@capstan/migrations'
import { and, eq, isNull } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type By, type ChangeRequest, recordStep } from './queries.js'

/** Says once that what was done at once was not approved within its day. */
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
  return true
}
