import {
  alsoOrg,
  memberships,
  newId,
  type Transaction,
  userIdentities,
  users,
  withOrg,
  withUser,
} from '@capstan/migrations'
import { and, eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import type { Deps } from '../context.js'
import { lockMemberships } from '../members/keep-an-owner.js'
import type { Issued } from '../openid/verify-issued-token.js'
import { Problem } from '../problems.js'
import { followAddress } from './follow-address.js'
import { holdProvider } from './hold-provider.js'
import type { Provider } from './open-provider.js'

const MAX_EMAIL = 320

export type PersonOf = { provider: Provider; claims: Issued; requestId: string }

/** The person of the organization whom issuer and subject name, never the address. One who is new joins where the organization wants that. */
export async function personOf(deps: Deps, input: PersonOf): Promise<string> {
  const { provider, claims, requestId } = input
  const known = await withOrg(deps.db, provider.orgId, (tx) => identityIn(tx, provider, claims.sub))
  const userId = known ?? (await join(deps, input))
  const members = await withOrg(deps.db, provider.orgId, (tx) =>
    tx.$count(memberships, and(eq(memberships.orgId, provider.orgId), eq(memberships.userId, userId))),
  )
  // Whoever was removed does not come back by signing in.
  if (members === 0)
    throw new Problem('sign-in-refused', 'You do not belong to this organization. Ask for an invitation.')
  await followAddress(deps, { userId, provider, email: addressOf(claims), requestId })
  return userId
}

/** In a transaction that shows the provider's organization. */
export async function identityIn(tx: Transaction, { orgId, issuer }: Provider, subject: string) {
  const isNamed = and(
    eq(userIdentities.orgId, orgId),
    eq(userIdentities.issuer, issuer),
    eq(userIdentities.subject, subject),
  )
  const [identity] = await tx.select({ userId: userIdentities.userId }).from(userIdentities).where(isNamed)
  return identity?.userId ?? null
}

/** What the provider says, which proves nothing; empty where it says none. */
function addressOf({ email }: Issued): string {
  return typeof email === 'string' ? email.toWellFormed().replaceAll('\0', '').slice(0, MAX_EMAIL) : ''
}

async function join(deps: Deps, { provider, claims, requestId }: PersonOf): Promise<string> {
  const { orgId, issuer, joinRole: role } = provider
  if (role === null) {
    const how = 'Sign in as you usually do and link this provider first, or ask your organization.'
    throw new Problem('sign-in-refused', `Nobody here is known by this identity. ${how}`)
  }
  const userId = newId()
  const email = addressOf(claims)
  return withUser(deps.db, userId, async (tx) => {
    await alsoOrg(tx, orgId)
    await holdProvider(tx, provider)
    await lockMemberships(tx, orgId)
    // Of two first sign-ins at once the second finds whom the first made.
    const made = await identityIn(tx, provider, claims.sub)
    if (made !== null) return made
    await tx.insert(users).values({ id: userId, email, federated: true })
    await tx
      .insert(userIdentities)
      .values({ id: newId(), orgId, userId, issuer, subject: claims.sub, createdAt: deps.now() })
    await tx.insert(memberships).values({ orgId, userId, role, createdAt: deps.now() })
    await recordAudit(
      tx,
      { orgId, actor: { type: 'user', id: userId }, requestId },
      { action: 'member.joined', target: { user: userId, identityProvider: provider.id }, data: { role } },
    )
    return userId
  })
}
