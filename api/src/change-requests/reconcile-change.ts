import { type Transaction, withOrg } from '@capstan/migrations'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { openForOrganization } from '../incidents/open-for-organization.js'
import { Problem } from '../problems.js'
import {
  type By,
  type ChangeRequest,
  lockRequest,
  moveRequest,
  recordStep,
  refusedMove,
  rootsOfSteps,
} from './queries.js'
import { type Reading, readChange } from './read-change.js'
import { overlap, rootsOf } from './roots.js'

/** Somebody who did not make the change has it compared with the record (S3); nobody types the verdict. */
export async function reconcileChange(ctx: Context, input: { changeRequestId: string }): Promise<ChangeRequest> {
  requireScope(ctx, 'change-requests:approve')
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const request = await lockRequest(tx, input.changeRequestId)
    const [roots, executors] = [await rootsOf(tx, ctx.actor), await rootsOfSteps(tx, request, 'executed')]
    if (await overlap(tx, roots, executors)) {
      throw new Problem('self-reconciliation', 'You made this change, so somebody else reconciles it.')
    }
    if (request.state !== 'attested' && request.state !== 'reconciled') throw refusedMove(request, 'reconciled')
    return settleReading(tx, ctx, request, await readChange(tx, ctx, request))
  })
}

/**
 * Writes the verdict into the record and the log. A match ends the freeze that a mismatch had begun, and a mismatch that
 * was none before is an incident.
 */
export async function settleReading(
  tx: Transaction,
  by: By,
  request: ChangeRequest,
  { verdict, observed, evidenceHash }: Reading,
): Promise<ChangeRequest> {
  const step = { step: 'reconciled', evidence: { verdict, observed }, evidenceHash } as const
  if (request.state === 'attested') await moveRequest(tx, by, request, { to: 'reconciled', step })
  else if (request.state === 'reconciled') await recordStep(tx, by, request, step)
  await recordAudit(tx, by, {
    action: 'change_request.reconciled',
    target: { changeRequest: request.id, ...request.subject },
    outcome: verdict === 'mismatch' ? 'refused' : 'success',
    data: { action: request.action, contentHash: request.contentHash, verdict, evidenceHash },
  })
  if (verdict === 'mismatch' && request.verdict !== 'mismatch') {
    await openForOrganization(tx, by, {
      title: 'What there is is not what was approved',
      evidence: `Change request ${request.id}: ${request.action}. Hash of what was read: ${evidenceHash}.`,
      target: { changeRequest: request.id },
    })
  }
  return lockRequest(tx, request.id)
}
