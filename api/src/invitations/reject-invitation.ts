import { invitations } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import type { Deps } from '../context.js'
import { admitStranger } from './admit-stranger.js'
import { withInvitation } from './open-invitation.js'

export type RejectInvitation = { secret: string; address: string | null; requestId: string }

/** Whoever holds the secret may say no, with an account or without one. */
export async function rejectInvitation(deps: Deps, input: RejectInvitation): Promise<void> {
  admitStranger(deps, input.address)
  await withInvitation(deps, input.secret, async (tx, { id, orgId }) => {
    await tx.update(invitations).set({ status: 'rejected', decidedAt: deps.now() }).where(eq(invitations.id, id))
    const by = { orgId, actor: { type: 'user', id: 'invited' } as const, requestId: input.requestId }
    await recordAudit(tx, by, { action: 'invitation.rejected', target: { invitation: id } })
  })
}
