import { memberships, organizations, withUser } from '@capstan/migrations'
import { and, asc, eq } from 'drizzle-orm'
import { onlyOrgOf, type Principal } from '../auth/authenticate.js'
import type { Deps } from '../context.js'

/** The organizations a person belongs to; through an API token or the provider of one organization only that one. */
export async function listOrganizations(deps: Deps, principal: Principal, page: { limit: number; offset: number }) {
  const orgId = onlyOrgOf(principal)
  const only = orgId === null ? undefined : eq(organizations.id, orgId)
  const rows = await withUser(deps.db, principal.userId, (tx) =>
    tx
      .select({ organization: organizations })
      .from(organizations)
      .innerJoin(memberships, and(eq(memberships.orgId, organizations.id), eq(memberships.userId, principal.userId)))
      .where(only)
      .orderBy(asc(organizations.id))
      .limit(page.limit)
      .offset(page.offset),
  )
  return rows.map((row) => row.organization)
}
