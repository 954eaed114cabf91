import { memberships, organizations, withUser } from '@capstan/migrations'
import { and, asc, eq } from 'drizzle-orm'
import type { Principal } from '../auth/authenticate.js'
import type { Deps } from '../context.js'

/** The organizations a person belongs to; through an API token only the token's. */
export async function listOrganizations(deps: Deps, principal: Principal, page: { limit: number; offset: number }) {
  const only = principal.kind === 'token' ? eq(organizations.id, principal.orgId) : undefined
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
