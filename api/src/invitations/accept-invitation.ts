import { alsoUser, invitations, memberships, type Transaction } from '@capstan/migrations'
import { and, eq, isNull } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import type { Actor, Deps } from '../context.js'
import { includesRole, scopesOf } from '../auth/permissions.js'
import type { Self } from '../auth/self.js'
import { requireInvitationConsent } from '../change-requests/invitation-consent.js'
import { lockMemberships } from '../members/keep-an-owner.js'
import { Problem } from '../problems.js'
import { type Invitation, invitationInvalid, withInvitation } from './open-invitation.js'

/** The signed-in person joins. Whose address was invited does not matter: the secret is what was given to somebody. */
export async function acceptInvitation(self: Self, secret: string): Promise<{ organizationId: string }> {
  const { userId, sessionId } = self.session
  return withInvitation(self, secret, (tx, invitation) =>
    join(tx, self, invitation, { type: 'user', id: userId, via: { type: 'session', id: sessionId } }),
  )
}

/** In the transaction that locked the invitation. */
export async function join(
  tx: Transaction,
  by: Deps & { requestId: string },
  invitation: Invitation,
  actor: Actor,
): Promise<{ organizationId: string }> {
  const { orgId, role } = invitation
  // An organization that is being ended takes nobody in.
  await lockMemberships(tx, orgId)
  if (!(await mayStillInvite(tx, invitation))) throw invitationInvalid()
  await alsoUser(tx, actor.id)
  await requireInvitationConsent(tx, invitation, actor.id)
  const joined = await tx
    .insert(memberships)
    .values({ orgId, userId: actor.id, role, createdAt: by.now() })
    .onConflictDoNothing()
    .returning({ userId: memberships.userId })
  if (joined.length === 0) throw new Problem('member-exists', 'You are a member of this organization already.')
  await tx
    .update(invitations)
    .set({ status: 'accepted', acceptedBy: actor.id, decidedAt: by.now() })
    .where(eq(invitations.id, invitation.id))
  await recordAudit(
    tx,
    { orgId, actor, requestId: by.requestId },
    { action: 'invitation.accepted', target: { invitation: invitation.id, user: actor.id }, data: { role } },
  )
  return { organizationId: orgId }
}

/** Nobody comes back, or brings others in, by invitations of a time when they could do more. */
export async function mayStillInvite(tx: Transaction, { createdBy, role }: Invitation): Promise<boolean> {
  if (createdBy === null) return false
  const [inviter] = await tx
    .select({ role: memberships.role })
    .from(memberships)
    .where(and(eq(memberships.userId, createdBy), isNull(memberships.suspendedAt)))
  return inviter !== undefined && scopesOf(inviter.role).has('members:write') && includesRole(inviter.role, role)
}
