import { alsoOrg, memberships, newId, userIdentities, withUser } from '@capstan/migrations'
import { and, eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import type { Deps } from '../context.js'
import { lockMemberships } from '../members/keep-an-owner.js'
import { Problem } from '../problems.js'
import { holdSession } from '../sessions/hold-session.js'
import { holdProvider } from './hold-provider.js'
import type { Provider } from './open-provider.js'
import { identityIn } from './person-of.js'

export type LinkIdentity = {
  provider: Provider
  userId: string
  /** In which this was begun: a link is not finished after it was ended. */
  sessionId: string | null
  subject: string
  requestId: string
}

/** From now on this identity signs this person in: in the provider's organization, as with every provider. */
export async function linkIdentity(deps: Deps, input: LinkIdentity): Promise<void> {
  const { provider, userId, sessionId, subject, requestId } = input
  const { orgId, issuer } = provider
  await withUser(deps.db, userId, async (tx) => {
    if (sessionId === null || !(await holdSession(tx, sessionId, deps.now()))) {
      throw new Problem('sign-in-refused', 'The session in which you began this has ended. Sign in, and begin again.')
    }
    await alsoOrg(tx, orgId)
    await holdProvider(tx, provider)
    // Whom a first sign-in at the same moment makes is found here, or finds this link.
    await lockMemberships(tx, orgId)
    const linked = await identityIn(tx, provider, subject)
    if (linked === userId) return
    if (linked !== null) throw new Problem('identity-taken', 'This identity belongs to another account here.')
    const mine = and(eq(memberships.orgId, orgId), eq(memberships.userId, userId))
    if ((await tx.$count(memberships, mine)) === 0)
      throw new Problem('not-found', 'You do not belong to this organization.')
    await tx.insert(userIdentities).values({ id: newId(), orgId, userId, issuer, subject, createdAt: deps.now() })
    await recordAudit(
      tx,
      { orgId, actor: { type: 'user', id: userId }, requestId },
      { action: 'identity.linked', target: { user: userId, identityProvider: provider.id } },
    )
  })
}
