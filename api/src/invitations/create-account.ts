import { alsoUser, newId, userPasswords, users } from '@capstan/migrations'
import { hashInTurn } from '../auth/hash-in-turn.js'
import { hashPassword } from '../auth/password.js'
import type { Deps } from '../context.js'
import { Problem } from '../problems.js'
import { join } from './accept-invitation.js'
import { admitStranger } from './admit-stranger.js'
import type { NewAccount } from './new-account.js'
import { withInvitation } from './open-invitation.js'

export type CreateAccount = NewAccount & { secret: string; address: string | null; requestId: string }

/** A person without an account makes one, for the invited address, and joins. Signing in comes after, as always. */
export async function createAccount(
  deps: Deps,
  { secret, name, password, address, requestId }: CreateAccount,
): Promise<{ userId: string; organizationId: string }> {
  admitStranger(deps, address)
  // Looked at before the costly hash, and locked after it.
  await withInvitation(deps, secret, async () => undefined)
  const hash = await hashInTurn(() => hashPassword(password))
  return withInvitation(deps, secret, async (tx, invitation) => {
    const userId = newId()
    await alsoUser(tx, userId)
    const made = await tx
      .insert(users)
      .values({ id: userId, email: invitation.email, name: name ?? null })
      .onConflictDoNothing()
      .returning({ id: users.id })
    if (made.length === 0) {
      const how = 'Sign in with it, and accept the invitation there.'
      throw new Problem('account-exists', `There is an account with this e-mail address. ${how}`)
    }
    await tx.insert(userPasswords).values({ userId, hash })
    const actor = { type: 'user', id: userId } as const
    const { organizationId } = await join(tx, { ...deps, requestId }, invitation, actor)
    return { userId, organizationId }
  })
}
