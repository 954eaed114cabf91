import type { invitations, Transaction } from '@capstan/migrations'
import { includesRole } from '../auth/permissions.js'
import { Problem } from '../problems.js'
import { findPolicy, rootsOfSteps } from './queries.js'
import { overlap } from './roots.js'

type Invitation = Pick<typeof invitations.$inferSelect, 'orgId' | 'role' | 'changeRequestId'>

/**
 * Asked where an invitation takes effect, in a transaction that holds `lockMemberships`: a role that can approve is given
 * to nobody without the consent that is demanded by now, and to nobody who gave it (S5). The database asks again.
 */
export async function requireInvitationConsent(
  tx: Transaction,
  { orgId, role, changeRequestId }: Invitation,
  userId: string,
): Promise<void> {
  if (!includesRole(role, 'approver')) return
  if (changeRequestId === null) {
    if (!(await findPolicy(tx, orgId)).enabled) return
    throw new Problem(
      'invitation-invalid',
      'The organization has come to demand that a second person approves this role. Ask for another invitation.',
    )
  }
  if (!(await overlap(tx, [userId], await rootsOfSteps(tx, { id: changeRequestId }, 'approved')))) return
  throw new Problem('approval-benefits-you', 'You approved this invitation. Somebody else has to approve one for you.')
}
