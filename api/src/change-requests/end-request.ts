import { withOrg } from '@capstan/migrations'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, readableApps, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import { type ChangeRequest, lockRequest, moveRequest, refusedMove } from './queries.js'
import { overlap, rootsOf } from './roots.js'

/** Says no, before or after an approval. What was done at once stays done: the log and the state say that it was wrong. */
export async function rejectChange(
  ctx: Context,
  input: { changeRequestId: string; reason: string },
): Promise<ChangeRequest> {
  requireScope(ctx, 'change-requests:approve')
  return end(ctx, input.changeRequestId, { to: 'rejected', reason: input.reason, apps: null })
}

/** Takes one's own request back. */
export async function cancelChange(ctx: Context, input: { changeRequestId: string }): Promise<ChangeRequest> {
  const apps = readableApps(ctx, 'change-requests:write')
  return end(ctx, input.changeRequestId, { to: 'canceled', reason: null, apps })
}

/** `apps`: the only ones whose requests there are for the caller. */
type End = { to: 'rejected' | 'canceled'; reason: string | null; apps: readonly string[] | null }

function end(ctx: Context, id: string, { to, reason, apps }: End): Promise<ChangeRequest> {
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const request = await lockRequest(tx, id)
    if (apps && !apps.includes(request.appId ?? ''))
      throw new Problem('not-found', 'This organization has no such change request.')
    const own = await overlap(tx, await rootsOf(tx, ctx.actor), request.submitterRoots)
    if (to === 'canceled' && !own) {
      throw new Problem('permission-missing', 'Only who asked for a change cancels it. An approver may reject it.')
    }
    const isDone = request.state === 'executed'
    if (isDone && (!request.retroactive || request.approvedAt !== null)) throw refusedMove(request, to)
    if (isDone && own) throw new Problem('self-approval', 'Somebody else judges what you did at once.')
    const ended = await moveRequest(tx, ctx, request, { to, step: { step: to, reason } })
    await recordAudit(tx, ctx, {
      action: `change_request.${to}`,
      target: { changeRequest: request.id, ...request.subject },
      data: { action: request.action, contentHash: request.contentHash },
      personal: { reason },
    })
    return ended
  })
}
