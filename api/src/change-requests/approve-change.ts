import { changeRequests, type Transaction, withOrg } from '@capstan/migrations'
import { and, eq, isNull } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { requireStepUp } from '../auth/step-up.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import {
  type ChangeRequest,
  findApprovers,
  findPolicy,
  lockRequest,
  moveRequest,
  recordStep,
  refusedMove,
} from './queries.js'
import { overlap, rootsOf } from './roots.js'
import { closeSuperseded } from './supersede.js'

const APPROVAL_MS = 7 * 24 * 60 * 60_000
const EXCEPTION_DELAY_MS = 15 * 60_000

export type ApproveChange = { changeRequestId: string; reason?: string | undefined }

/**
 * A second person's consent to exactly what a request says (S1). What was done at once is approved afterwards by the
 * same rules. Where there is one approver only, the exception lets that person wait, say why, and approve alone.
 */
export async function approveChange(ctx: Context, input: ApproveChange): Promise<ChangeRequest> {
  requireScope(ctx, 'change-requests:approve')
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const request = await lockRequest(tx, input.changeRequestId)
    const roots = await rootsOf(tx, ctx.actor)
    await refuseOwnGrant(tx, request, roots)
    const exception = await overlap(tx, roots, request.submitterRoots)
    if (exception) await claimException(tx, ctx, request, input.reason)
    await refuseNonApprovers(tx, ctx, roots)
    const consent = { exception, reason: input.reason ?? null }
    const now = ctx.now()
    const approved = request.retroactive
      ? await approveAfterwards(tx, ctx, request, consent)
      : await moveRequest(tx, ctx, request, {
          to: 'approved',
          set: { exception, approvedAt: now, approvalExpiresAt: new Date(now.getTime() + APPROVAL_MS) },
          step: { step: 'approved', ...consent },
        })
    await recordAudit(tx, ctx, {
      action: 'change_request.approved',
      target: { changeRequest: request.id, ...request.subject },
      data: {
        action: request.action,
        contentHash: request.contentHash,
        exception,
        afterwards: request.retroactive,
      },
      personal: { reason: consent.reason },
    })
    return approved
  })
}

type Consent = { exception: boolean; reason: string | null }

async function approveAfterwards(tx: Transaction, ctx: Context, request: ChangeRequest, consent: Consent) {
  const [approved] = await tx
    .update(changeRequests)
    .set({ exception: consent.exception, approvedAt: ctx.now(), updatedAt: ctx.now() })
    .where(
      and(eq(changeRequests.id, request.id), eq(changeRequests.state, 'executed'), isNull(changeRequests.approvedAt)),
    )
    .returning()
  if (!approved) throw refusedMove(request, 'approved')
  await recordStep(tx, ctx, request, { step: 'approved', ...consent })
  // Now it takes the place of what it replaced, and a later change that of it.
  if (approved.entity !== null) await closeSuperseded(tx, ctx, [approved.entity])
  return approved
}

/** S5. */
async function refuseOwnGrant(
  tx: Transaction,
  { action, subject }: ChangeRequest,
  roots: readonly string[],
): Promise<void> {
  if (action !== 'role.grant' || subject.user === undefined || !(await overlap(tx, [subject.user], roots))) return
  throw new Problem('approval-benefits-you', 'This gives you a role. Somebody else has to approve it.')
}

async function claimException(
  tx: Transaction,
  ctx: Context,
  request: ChangeRequest,
  reason: string | undefined,
): Promise<void> {
  const { soleOperatorUntil } = await findPolicy(tx, ctx.orgId)
  if (soleOperatorUntil === null || soleOperatorUntil <= ctx.now()) {
    throw new Problem(
      'self-approval',
      'You asked for this change, yourself or through a token, so somebody else has to approve it.',
    )
  }
  requireStepUp(ctx.assurance, ctx.now())
  if (reason === undefined || reason.length < 10) {
    throw new Problem('request-invalid', 'reason: say in ten characters or more why you approve your own change.')
  }
  const from = new Date(request.createdAt.getTime() + (request.retroactive ? 0 : EXCEPTION_DELAY_MS))
  if (ctx.now() >= from) return
  throw new Problem('approval-too-early', `You may approve your own change from ${from.toISOString()} on.`)
}

/** Everybody behind a token: it does not lend the role of one to another. */
async function refuseNonApprovers(tx: Transaction, ctx: Context, roots: readonly string[]): Promise<void> {
  const approvers = await findApprovers(tx, ctx.orgId)
  if (roots.every((person) => approvers.includes(person))) return
  throw new Problem('permission-missing', 'Not everybody who made or rotated this token may approve changes.')
}
