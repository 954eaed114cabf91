import { memberships, type Role, type Transaction, withOrg } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { itemOfMember, reopenItem } from '../access-reviews/reopen-item.js'
import { recordAudit } from '../audit/record-audit.js'
import type { Approval } from '../change-requests/require-approval.js'
import { type Spent, spendApproval } from '../change-requests/spend-approval.js'
import { supersede } from '../change-requests/supersede.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import { endServiceTokensBeyond } from './end-known-tokens.js'
import { lockMemberships, requireAnOwner } from './keep-an-owner.js'
import { getMember, requireMember } from './list-members.js'
import type { MemberRow } from './present-member.js'
import { consentToRole, refuseEscalation } from './refuse-escalation.js'

export type ChangeRole = { userId: string; role: Role }

/** Gives a member another role in the organization, with the next request; gives a suspended one back. */
export async function changeRole(ctx: Context, { userId, role }: ChangeRole): Promise<MemberRow> {
  requireScope(ctx, 'members:write')
  const { membership: before } = await getMember(ctx, userId)
  refuseEscalation(ctx, before.role, role)
  const from = before.suspendedAt ? 'none' : before.role
  const approval = await consentToRole(ctx, { from, to: role, subject: { user: userId } })
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    await lockMemberships(tx, ctx.orgId)
    const { membership: now } = await requireMember(tx, userId)
    if (now.role !== before.role || now.suspendedAt?.getTime() !== before.suspendedAt?.getTime()) {
      throw new Problem('request-conflict', 'The role of this member was changed at the same time. Look at it again.')
    }
    await setRole(tx, ctx, { membership: now, role, approval })
    return requireMember(tx, userId)
  })
}

type SetRole = { membership: MemberRow['membership']; role: Role; approval: Approval | null }

/** In a transaction that holds `lockMemberships`. */
export async function setRole(tx: Transaction, ctx: Context, { membership, role, approval }: SetRole): Promise<void> {
  const from = membership.suspendedAt ? 'none' : membership.role
  if (from === role && membership.suspendedAt === null) return
  await tx.update(memberships).set({ role, suspendedAt: null }).where(eq(memberships.userId, membership.userId))
  await requireAnOwner(tx, ctx.orgId)
  const tokens = await endServiceTokensBeyond(tx, { userId: membership.userId, role }, ctx.now())
  if (membership.role !== role) await reopenItem(tx, ctx, { match: itemOfMember(membership.userId), role })
  const spent = await settleConsent(tx, ctx, membership.userId, approval)
  await recordAudit(tx, ctx, {
    action: 'member.role_changed',
    target: { user: membership.userId },
    data: { from, to: role, tokens, ...(spent && { approval: spent }) },
  })
}

/** Whatever the role of this person was approved to be counts no more. */
async function settleConsent(
  tx: Transaction,
  ctx: Context,
  userId: string,
  approval: Approval | null,
): Promise<Spent | null> {
  const entity = `membership/${userId}`
  if (approval !== null) return spendApproval(tx, ctx, approval, { entity })
  await supersede(tx, ctx, { entities: [entity], by: null })
  return null
}
