import { findOrgOf, invitations, type Transaction, withOrg } from '@capstan/migrations'
import { and, eq, gt } from 'drizzle-orm'
import { hashToken, kindOf } from '../auth/tokens.js'
import type { Deps } from '../context.js'
import { Problem } from '../problems.js'

export type Invitation = typeof invitations.$inferSelect

export const invitationInvalid = () =>
  new Problem('invitation-invalid', 'This invitation was used, canceled, or has expired. Ask for another one.')

/**
 * In the organization of the invitation that this secret belongs to, whose row is locked: of two who use it at once one
 * is refused. Every way not to be valid is the same answer.
 */
export async function withInvitation<T>(
  deps: Deps,
  secret: string,
  work: (tx: Transaction, invitation: Invitation) => Promise<T>,
): Promise<T> {
  if (kindOf(secret) !== 'cj') throw invitationInvalid()
  const tokenHash = hashToken(deps.pepper, secret)
  const orgId = await findOrgOf(deps.db, 'invitation', tokenHash)
  if (!orgId) throw invitationInvalid()
  return withOrg(deps.db, orgId, async (tx) => {
    const isLive = and(eq(invitations.status, 'pending'), gt(invitations.expiresAt, deps.now()))
    const [invitation] = await tx
      .select()
      .from(invitations)
      .where(and(eq(invitations.tokenHash, tokenHash), isLive))
      .for('update')
    if (!invitation) throw invitationInvalid()
    return work(tx, invitation)
  })
}
