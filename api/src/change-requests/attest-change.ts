import { withOrg } from '@capstan/migrations'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import { type ChangeRequest, lockRequest, moveRequest, refusedMove, rootsOfSteps } from './queries.js'
import { overlap, rootsOf } from './roots.js'

export type AttestChange = { changeRequestId: string; note?: string | undefined }

/** "What went out is what was approved", said by somebody who did not do it (S2). There is no exception from it. */
export async function attestChange(ctx: Context, input: AttestChange): Promise<ChangeRequest> {
  requireScope(ctx, 'change-requests:approve')
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const request = await lockRequest(tx, input.changeRequestId)
    const [roots, executors] = [await rootsOf(tx, ctx.actor), await rootsOfSteps(tx, request, 'executed')]
    if (await overlap(tx, roots, executors)) {
      throw new Problem('self-attestation', 'You made this change, so somebody else attests it.')
    }
    if (request.approvedAt === null) throw refusedMove(request, 'attested')
    const attested = await moveRequest(tx, ctx, request, {
      to: 'attested',
      step: { step: 'attested', reason: input.note ?? null },
    })
    await recordAudit(tx, ctx, {
      action: 'change_request.attested',
      target: { changeRequest: request.id, ...request.subject },
      data: { action: request.action, contentHash: request.contentHash },
      personal: { note: input.note ?? null },
    })
    return attested
  })
}
