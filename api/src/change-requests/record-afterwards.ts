import { changeRequests, type Transaction } from '@capstan/migrations'
import { recordAudit } from '../audit/record-audit.js'
import { type Change, contentOf, type RecordedAction } from './change.js'
import { rowOf } from './file-request.js'
import { type By, findPolicy, recordStep } from './queries.js'
import { markSuperseded } from './supersede.js'

const POST_APPROVAL_MS = 24 * 60 * 60_000

export type AtOnce = Change<RecordedAction> & { entity: string; supersedes?: readonly string[] }

/**
 * What one person may do at once because it makes an app safer: it is recorded, in the transaction that does it, and
 * somebody else approves it within a day. Call it as the last thing before the audit event.
 */
export async function recordAfterwards(tx: Transaction, by: By, change: AtOnce): Promise<void> {
  if (by.actor.type !== 'user' || !(await findPolicy(tx, by.orgId)).enabled) return
  const now = by.now()
  const [request] = await tx
    .insert(changeRequests)
    .values({
      ...rowOf(by, change, contentOf(by.orgId, change)),
      state: 'executed',
      retroactive: true,
      executedAt: now,
      postApprovalDueAt: new Date(now.getTime() + POST_APPROVAL_MS),
      entity: change.entity,
    })
    .returning()
  if (!request) throw new Error('The record of a change was not inserted.')
  await recordStep(tx, by, request, { step: 'executed' })
  await markSuperseded(tx, by, { entities: [change.entity, ...(change.supersedes ?? [])], by: request.id })
  await recordAudit(tx, by, {
    action: 'change_request.recorded',
    target: { changeRequest: request.id, ...change.subject },
    data: {
      action: change.action,
      contentHash: request.contentHash,
      approveBy: request.postApprovalDueAt?.toISOString() ?? null,
    },
  })
}
