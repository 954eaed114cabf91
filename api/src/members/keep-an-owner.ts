import { memberships, organizations, type Transaction } from '@capstan/migrations'
import { and, eq, isNull } from 'drizzle-orm'
import { Problem } from '../problems.js'

/** Before a membership is changed or removed: of two that would leave no owner the second waits, and is refused. */
export async function lockMemberships(tx: Transaction, orgId: string): Promise<void> {
  const [locked] = await tx
    .select({ id: organizations.id })
    .from(organizations)
    .where(and(eq(organizations.id, orgId), isNull(organizations.terminatingAt)))
    .for('no key update')
  if (!locked) throw new Problem('not-found')
}

/** After it. */
export async function requireAnOwner(tx: Transaction, orgId: string): Promise<void> {
  // Named, because in the door of a person their other organizations are seen as well.
  const isOwner = and(eq(memberships.orgId, orgId), eq(memberships.role, 'owner'), isNull(memberships.suspendedAt))
  if ((await tx.$count(memberships, isOwner)) > 0) return
  throw new Problem('last-owner', 'This is the last owner. Make somebody else an owner first.')
}
