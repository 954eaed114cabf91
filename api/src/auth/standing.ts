import {
  memberships,
  organizations,
  type Role,
  roleGrants,
  teamMembers,
  type Transaction,
  withOrg,
} from '@capstan/migrations'
import { and, eq, inArray, isNull, lt, or, type SQL } from 'drizzle-orm'
import type { Deps } from '../context.js'
import { onlyOrgOf, type Principal } from './authenticate.js'
import type { Held } from './reach.js'

/** How exactly it is known when a role was last used. */
const USE_RESOLUTION_MS = 60 * 60_000

export type Standing = {
  /** The role in the organization; null for a service token, which stands for itself and not for who made it. */
  role: Role | null
  /** Every role that counts here; of an app where one is asked about. */
  held: readonly Held[]
  twoFactorRequired: boolean
  stepUpRequired: boolean
  ipAllowlist: readonly string[] | null
  countryAllowlist: readonly string[] | null
  /** For reviews of access: a role counts as used with every request that it covered. */
  noteUse: () => Promise<void>
}

const policy = {
  twoFactorRequired: organizations.twoFactorRequired,
  stepUpRequired: organizations.stepUpRequired,
  ipAllowlist: organizations.ipAllowlist,
  countryAllowlist: organizations.countryAllowlist,
}

/**
 * What a principal is in an organization, and what the organization demands; null when it is not its business. One
 * query. What is suspended is not there.
 */
export async function standingIn(
  deps: Deps,
  principal: Principal,
  { orgId, appId }: { orgId: string; appId: string | null },
): Promise<Standing | null> {
  const only = onlyOrgOf(principal)
  if (only !== null && only !== orgId) return null
  if (principal.kind === 'token' && principal.service) {
    const [row] = await withOrg(deps.db, orgId, (tx) =>
      tx
        .select(policy)
        .from(organizations)
        .where(and(eq(organizations.id, orgId), isNull(organizations.terminatingAt))),
    )
    return row ? { role: null, held: [], ...row, noteUse: () => Promise.resolve() } : null
  }
  const rows = await withOrg(deps.db, orgId, (tx) => {
    const isHere = appId === null ? undefined : or(isNull(roleGrants.appId), eq(roleGrants.appId, appId))
    return tx
      .select({
        policy,
        member: { role: memberships.role, suspendedAt: memberships.suspendedAt, lastUsedAt: memberships.lastUsedAt },
        grant: roleGrants,
      })
      .from(memberships)
      .innerJoin(organizations, eq(organizations.id, memberships.orgId))
      .leftJoin(roleGrants, and(eq(roleGrants.orgId, memberships.orgId), grantsOf(tx, principal.userId), isHere))
      .where(and(eq(memberships.orgId, orgId), eq(memberships.userId, principal.userId)))
  })
  const [first] = rows
  if (!first) return null
  const role = first.member.suspendedAt ? 'none' : first.member.role
  const grants = rows.flatMap(({ grant }) => grant ?? [])
  const covering = grants.filter((grant) => appId !== null || grant.appId === null)
  const isDue = [first.member, ...covering].some(({ lastUsedAt }) => isOld(lastUsedAt, deps.now()))
  const used = { orgId, userId: principal.userId, grantIds: covering.map(({ id }) => id) }
  return {
    role,
    held: [{ role, appId: null, channelId: null }, ...grants],
    ...first.policy,
    noteUse: () => (isDue ? noteUse(deps, used) : Promise.resolve()),
  }
}

/** Grants of this person, or of a team that they are in. What is suspended is not there. */
export function grantsOf(tx: Transaction, userId: string): SQL | undefined {
  const teams = tx
    .select({ id: teamMembers.teamId })
    .from(teamMembers)
    .where(and(eq(teamMembers.userId, userId), isNull(teamMembers.suspendedAt)))
  const isTheirs = or(eq(roleGrants.userId, userId), inArray(roleGrants.teamId, teams))
  return and(isNull(roleGrants.suspendedAt), isTheirs)
}

const isOld = (at: Date | null, now: Date) => !at || now.getTime() - at.getTime() > USE_RESOLUTION_MS

/** Rows that somebody else holds just now are skipped: no request waits for this, or fails by it. */
async function noteUse(deps: Deps, { orgId, userId, grantIds }: { orgId: string; userId: string; grantIds: string[] }) {
  const lastUsedAt = deps.now()
  const before = new Date(lastUsedAt.getTime() - USE_RESOLUTION_MS)
  await withOrg(deps.db, orgId, async (tx) => {
    const isDue = or(isNull(memberships.lastUsedAt), lt(memberships.lastUsedAt, before))
    const due = tx
      .select({ userId: memberships.userId })
      .from(memberships)
      .where(and(eq(memberships.userId, userId), isDue))
      .for('no key update', { skipLocked: true })
    await tx.update(memberships).set({ lastUsedAt }).where(inArray(memberships.userId, due))
    if (grantIds.length === 0) return
    const isGrantDue = or(isNull(roleGrants.lastUsedAt), lt(roleGrants.lastUsedAt, before))
    const dueGrants = tx
      .select({ id: roleGrants.id })
      .from(roleGrants)
      .where(and(inArray(roleGrants.id, grantIds), isGrantDue))
      .for('no key update', { skipLocked: true })
    await tx.update(roleGrants).set({ lastUsedAt }).where(inArray(roleGrants.id, dueGrants))
  })
}
