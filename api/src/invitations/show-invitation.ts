import { organizations, users } from '@capstan/migrations'
import { and, eq, isNull } from 'drizzle-orm'
import type { Deps } from '../context.js'
import { mayStillInvite } from './accept-invitation.js'
import { admitStranger } from './admit-stranger.js'
import { type Invitation, invitationInvalid, withInvitation } from './open-invitation.js'

export type ShownInvitation = Pick<Invitation, 'role' | 'email' | 'expiresAt'> & {
  organization: string
  /** Name and address of whoever made it. */
  invitedBy: { name: string | null; email: string }
}

/** What somebody is invited to, for whoever holds the secret; nothing of one that could not be accepted. */
export async function showInvitation(
  deps: Deps,
  { secret, address }: { secret: string; address: string | null },
): Promise<ShownInvitation> {
  admitStranger(deps, address)
  return withInvitation(deps, secret, async (tx, invitation) => {
    const { orgId, createdBy, role, email, expiresAt } = invitation
    if (createdBy === null || !(await mayStillInvite(tx, invitation))) throw invitationInvalid()
    const [shown] = await tx
      .select({ organization: organizations.name, invitedBy: { name: users.name, email: users.email } })
      .from(organizations)
      .innerJoin(users, eq(users.id, createdBy))
      .where(and(eq(organizations.id, orgId), isNull(organizations.terminatingAt)))
    if (!shown) throw invitationInvalid()
    return { role, email, expiresAt, ...shown }
  })
}
