import { alsoOrg, users, withUser } from '@capstan/migrations'
import { and, eq, ne } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import type { Deps } from '../context.js'
import type { Provider } from './open-provider.js'

export type FollowAddress = { userId: string; provider: Provider; email: string; requestId: string }

/** Whoever a provider brought in has the address that it says now: they cannot change it here. Others keep their own. */
export async function followAddress(deps: Deps, input: FollowAddress): Promise<void> {
  const { userId, provider, email, requestId } = input
  if (email === '') return
  const isAnother = and(eq(users.id, userId), eq(users.federated, true), ne(users.email, email))
  await withUser(deps.db, userId, async (tx) => {
    const changed = await tx
      .update(users)
      .set({ email, updatedAt: deps.now() })
      .where(isAnother)
      .returning({ id: users.id })
    if (changed.length === 0) return
    const { orgId } = provider
    await alsoOrg(tx, orgId)
    await recordAudit(
      tx,
      { orgId, actor: { type: 'user', id: userId }, requestId },
      { action: 'email.changed', target: { user: userId, identityProvider: provider.id } },
    )
  })
}
