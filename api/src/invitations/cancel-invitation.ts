import { invitations, withOrg } from '@capstan/migrations'
import { and, eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'

/** Its secret is worth nothing from now on. */
export async function cancelInvitation(ctx: Context, invitationId: string): Promise<void> {
  requireScope(ctx, 'members:write')
  await withOrg(ctx.db, ctx.orgId, async (tx) => {
    const canceled = await tx
      .update(invitations)
      .set({ status: 'canceled', decidedAt: ctx.now() })
      .where(and(eq(invitations.id, invitationId), eq(invitations.status, 'pending')))
      .returning({ id: invitations.id })
    if (canceled.length === 0) throw new Problem('not-found', 'There is no such pending invitation.')
    await recordAudit(tx, ctx, { action: 'invitation.canceled', target: { invitation: invitationId } })
  })
}
