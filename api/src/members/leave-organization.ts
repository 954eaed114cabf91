import { alsoOrg, memberships, type Transaction, withUser } from '@capstan/migrations'
import { and, eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { requireFreshSelf, type Self } from '../auth/self.js'
import { Problem } from '../problems.js'
import { findFactors, hasFactor } from '../second-factors/find-factors.js'
import { endMembership } from './end-membership.js'
import { lockMemberships } from './keep-an-owner.js'

/** The last owner cannot: the organization would belong to nobody. */
export async function leaveOrganization(self: Self, orgId: string): Promise<void> {
  const { userId, onlyOrgId } = self.session
  if (onlyOrgId !== null && onlyOrgId !== orgId) throw new Problem('not-found')
  await withUser(self.db, userId, async (tx) => {
    requireFreshSelf(self, hasFactor(await findFactors(tx, userId)))
    await alsoOrg(tx, orgId)
    await leave(tx, self, orgId)
  })
}

/** In the doors of the person and of the organization. */
export async function leave(tx: Transaction, self: Self, orgId: string): Promise<void> {
  const { userId, sessionId } = self.session
  await lockMemberships(tx, orgId)
  const [membership] = await tx
    .select({ role: memberships.role })
    .from(memberships)
    .where(and(eq(memberships.orgId, orgId), eq(memberships.userId, userId)))
  if (!membership) throw new Problem('not-found')
  const actor = { type: 'user', id: userId, via: { type: 'session', id: sessionId } } as const
  const by = { orgId, actor, requestId: self.requestId, now: self.now }
  const ended = await endMembership(tx, by, userId)
  await recordAudit(tx, by, {
    action: 'member.left',
    target: { user: userId },
    data: { role: membership.role, ...ended },
  })
}
