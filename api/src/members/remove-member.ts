import { memberships, trustPolicies, withOrg } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { supersede } from '../change-requests/supersede.js'
import { type Context, requireScope } from '../context.js'
import { endTokensOf } from './end-known-tokens.js'
import { lockMemberships, requireAnOwner } from './keep-an-owner.js'
import { requireMember } from './list-members.js'
import { refuseEscalation } from './refuse-escalation.js'

/** From the next request on this person and their tokens have nothing here: no role, no team, no grant, no trust policy. */
export async function removeMember(ctx: Context, userId: string): Promise<void> {
  requireScope(ctx, 'members:write')
  await withOrg(ctx.db, ctx.orgId, async (tx) => {
    await lockMemberships(tx, ctx.orgId)
    const { membership } = await requireMember(tx, userId)
    refuseEscalation(ctx, membership.role)
    const policies = await tx
      .delete(trustPolicies)
      .where(eq(trustPolicies.createdBy, userId))
      .returning({ id: trustPolicies.id })
    await tx.delete(memberships).where(eq(memberships.userId, userId))
    await requireAnOwner(tx)
    const tokens = await endTokensOf(tx, userId, ctx.now())
    await supersede(tx, ctx, { entities: [`membership/${userId}`], by: null })
    await recordAudit(tx, ctx, {
      action: 'member.removed',
      target: { user: userId },
      data: { role: membership.role, tokens, trustPolicies: policies.length },
    })
  })
}
