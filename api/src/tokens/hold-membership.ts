import { memberships, type Transaction } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import type { Context } from '../context.js'
import { Problem } from '../problems.js'

/**
 * First in a transaction that makes a token: the role of its maker stays until the token is there, so that whoever takes
 * the role away at the same moment finds the token too. A service token has no role to lose.
 */
export async function holdMembership(tx: Transaction, { actor }: Context): Promise<void> {
  if (!actor.role) return
  const [held] = await tx
    .select({ role: memberships.role, suspendedAt: memberships.suspendedAt })
    .from(memberships)
    .where(eq(memberships.userId, actor.id))
    .for('share')
  const role = held?.suspendedAt ? 'none' : held?.role
  if (role !== actor.role) throw new Problem('request-conflict', 'Your role was changed at the same time. Try again.')
}
