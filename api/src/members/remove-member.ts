import { withOrg } from '@capstan/migrations'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { endMembership } from './end-membership.js'
import { lockMemberships } from './keep-an-owner.js'
import { requireMember } from './list-members.js'
import { refuseEscalation } from './refuse-escalation.js'

/** From the next request on this person and their tokens have nothing here: no role, no team, no grant. */
export async function removeMember(ctx: Context, userId: string): Promise<void> {
  requireScope(ctx, 'members:write')
  await withOrg(ctx.db, ctx.orgId, async (tx) => {
    await lockMemberships(tx, ctx.orgId)
    const { membership } = await requireMember(tx, userId)
    refuseEscalation(ctx, membership.role)
    const ended = await endMembership(tx, ctx, userId)
    await recordAudit(tx, ctx, {
      action: 'member.removed',
      target: { user: userId },
      data: { role: membership.role, ...ended },
    })
  })
}
