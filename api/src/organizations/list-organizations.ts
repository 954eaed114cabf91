import { alsoOrg, memberships, organizations, roleGrants, type Transaction, withUser } from '@capstan/migrations'
import { and, asc, eq } from 'drizzle-orm'
import { onlyOrgOf, type Principal } from '../auth/authenticate.js'
import { scopesOf } from '../auth/permissions.js'
import { grantsOf } from '../auth/standing.js'
import type { Deps } from '../context.js'

export type Listed = {
  organization: typeof organizations.$inferSelect
  /** Else there is something in it for this person, and what it demands and allows is not. */
  readable: boolean
}

/**
 * The organizations in which a person may do something; through an API token or the provider of one organization only
 * that one. Whose role is none, or suspended, has there what grants give, or nothing.
 */
export async function listOrganizations(
  deps: Deps,
  principal: Principal,
  { limit, offset }: { limit: number; offset: number },
): Promise<Listed[]> {
  const orgId = onlyOrgOf(principal)
  const only = orgId === null ? undefined : eq(organizations.id, orgId)
  return withUser(deps.db, principal.userId, async (tx) => {
    const rows = await tx
      .select({ organization: organizations, role: memberships.role, suspendedAt: memberships.suspendedAt })
      .from(organizations)
      .innerJoin(memberships, and(eq(memberships.orgId, organizations.id), eq(memberships.userId, principal.userId)))
      .where(only)
      .orderBy(asc(organizations.id))
    const listed: Listed[] = []
    for (const { organization, role, suspendedAt } of rows) {
      const mayRead = suspendedAt === null && scopesOf(role).has('organizations:read')
      const readable = mayRead || (await readByGrants(tx, organization.id, principal.userId))
      if (readable !== null) listed.push({ organization, readable })
    }
    return listed.slice(offset, offset + limit)
  })
}

/** Whether the grants of a person show the organization itself; null: there are none. */
async function readByGrants(tx: Transaction, orgId: string, userId: string): Promise<boolean | null> {
  await alsoOrg(tx, orgId)
  const grants = await tx
    .select({ role: roleGrants.role, appId: roleGrants.appId })
    .from(roleGrants)
    .where(and(eq(roleGrants.orgId, orgId), grantsOf(tx, userId)))
  if (grants.length === 0) return null
  return grants.some(({ role, appId }) => appId === null && scopesOf(role).has('organizations:read'))
}
