import { apiTokens, memberships, type Transaction, withOrg } from '@capstan/migrations'
import { and, eq, isNull, or, sql } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { supersede } from '../change-requests/supersede.js'
import { type Context, requireScope } from '../context.js'
import { lockMemberships, requireAnOwner } from './keep-an-owner.js'
import { requireMember } from './list-members.js'
import { refuseEscalation } from './refuse-escalation.js'

/** From the next request on this person and their tokens have nothing here: no role, no team, no grant. */
export async function removeMember(ctx: Context, userId: string): Promise<void> {
  requireScope(ctx, 'members:write')
  await withOrg(ctx.db, ctx.orgId, async (tx) => {
    await lockMemberships(tx, ctx.orgId)
    const { membership } = await requireMember(tx, userId)
    refuseEscalation(ctx, membership.role)
    await tx.delete(memberships).where(eq(memberships.userId, userId))
    await requireAnOwner(tx)
    const tokens = await revokeTokensOf(tx, userId, ctx.now())
    await supersede(tx, ctx, { entities: [`membership/${userId}`], by: null })
    await recordAudit(tx, ctx, {
      action: 'member.removed',
      target: { user: userId },
      data: { role: membership.role, tokens },
    })
  })
}

/** Service tokens too, if this person was the last to be shown their secret. */
async function revokeTokensOf(tx: Transaction, userId: string, revokedAt: Date): Promise<number> {
  const isTheirs = and(eq(apiTokens.kind, 'personal'), eq(apiTokens.userId, userId))
  const knows = sql`coalesce(${apiTokens.rotatedBy}, ${apiTokens.userId}) = ${userId}`
  const revoked = await tx
    .update(apiTokens)
    .set({ revokedAt })
    .where(and(isNull(apiTokens.revokedAt), or(isTheirs, knows)))
    .returning({ id: apiTokens.id })
  return revoked.length
}
