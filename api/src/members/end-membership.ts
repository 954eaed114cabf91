import { memberships, sessions, type Transaction, trustPolicies } from '@capstan/migrations'
import { and, eq, isNull } from 'drizzle-orm'
import type { By } from '../change-requests/queries.js'
import { supersede } from '../change-requests/supersede.js'
import { endTokensOf } from './end-known-tokens.js'
import { requireAnOwner } from './keep-an-owner.js'

/**
 * Takes a person out of the organization whose memberships are locked: role, teams and grants, tokens, trust policies, and
 * sessions that count here alone end with the next request. Answers how many of those there were.
 */
export async function endMembership(tx: Transaction, by: By, userId: string): Promise<Record<string, number>> {
  const { orgId } = by
  // Before the tokens: an exchange under way ends first, and its token is found, or finds no policy any more.
  const policies = await tx
    .delete(trustPolicies)
    .where(and(eq(trustPolicies.orgId, orgId), eq(trustPolicies.createdBy, userId)))
    .returning({ id: trustPolicies.id })
  await tx.delete(memberships).where(and(eq(memberships.orgId, orgId), eq(memberships.userId, userId)))
  await requireAnOwner(tx, orgId)
  const tokens = await endTokensOf(tx, userId, by.now())
  await tx
    .update(sessions)
    .set({ revokedAt: by.now() })
    .where(and(eq(sessions.userId, userId), eq(sessions.onlyOrgId, orgId), isNull(sessions.revokedAt)))
  await supersede(tx, by, { entities: [`membership/${userId}`], by: null })
  return { tokens, trustPolicies: policies.length }
}
