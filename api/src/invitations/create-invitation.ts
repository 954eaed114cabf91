import {
  type invitableRoles,
  invitations,
  memberships,
  newId,
  organizations,
  type Transaction,
  users,
  withOrg,
} from '@capstan/migrations'
import { and, eq, lte, sql } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { digestOwn } from '../auth/identity-keys.js'
import { createToken, hashToken } from '../auth/tokens.js'
import { spendApproval } from '../change-requests/spend-approval.js'
import { type Context, requireScope } from '../context.js'
import { invitationLetter } from '../mails/letters.js'
import { queueMail } from '../mails/queue-mail.js'
import { consentToRole, refuseEscalation } from '../members/refuse-escalation.js'
import { Problem } from '../problems.js'

const DAY_MS = 24 * 60 * 60 * 1000

export type CreateInvitation = { email: string; role: (typeof invitableRoles)[number]; expiresInDays: number }

/**
 * Invites a person, who joins with the secret of this answer. It is mailed where this server sends mail; else whoever
 * invites hands it over. Whoever holds it may use it.
 */
export async function createInvitation(ctx: Context, input: CreateInvitation) {
  requireScope(ctx, 'members:write')
  refuseEscalation(ctx, input.role)
  // The consent names the person without writing an address into the log for good.
  const subject = { invited: digestOwn(ctx.pepper, 'invited-address', input.email.toLowerCase()) }
  const approval = await consentToRole(ctx, { from: 'none', to: input.role, subject })
  const secret = createToken('cj')
  const invitation = await withOrg(ctx.db, ctx.orgId, async (tx) => {
    await refuseMember(tx, input.email)
    await cancelExpired(tx, input.email, ctx.now())
    const [inserted] = await tx
      .insert(invitations)
      .values({
        id: newId(),
        orgId: ctx.orgId,
        email: input.email,
        role: input.role,
        tokenHash: hashToken(ctx.pepper, secret),
        createdBy: ctx.actor.id,
        changeRequestId: approval?.requestId ?? null,
        createdAt: ctx.now(),
        expiresAt: new Date(ctx.now().getTime() + input.expiresInDays * DAY_MS),
      })
      .onConflictDoNothing()
      .returning()
    if (!inserted)
      throw new Problem('invitation-exists', 'This person is invited already. Cancel that invitation first.')
    await mailInvitation(tx, ctx, inserted, secret)
    const spent = approval && (await spendApproval(tx, ctx, approval, {}))
    await recordAudit(tx, ctx, {
      action: 'invitation.created',
      target: { invitation: inserted.id },
      data: { role: inserted.role, ...(spent && { approval: spent }) },
    })
    return inserted
  })
  return { invitation, secret }
}

async function mailInvitation(
  tx: Transaction,
  ctx: Context,
  { email, role, expiresAt }: typeof invitations.$inferSelect,
  secret: string,
): Promise<void> {
  if (!ctx.mailKey) return
  const [organization] = await tx
    .select({ name: organizations.name })
    .from(organizations)
    .where(eq(organizations.id, ctx.orgId))
  const facts = { organization: organization?.name ?? '', role, secret, expiresAt }
  await queueMail(tx, ctx, { ...invitationLetter(ctx.publicUrl, facts), kind: 'invitation.created', to: email })
}

async function refuseMember(tx: Transaction, email: string): Promise<void> {
  const [member] = await tx
    .select({ id: users.id })
    .from(users)
    .innerJoin(memberships, eq(memberships.userId, users.id))
    .where(eq(sql`lower(${users.email})`, email.toLowerCase()))
  if (member) throw new Problem('member-exists', 'This person is a member already. Change the role of the member.')
}

/** Makes room for a new one: there is one pending invitation for an address. */
async function cancelExpired(tx: Transaction, email: string, now: Date): Promise<void> {
  const isOfAddress = eq(sql`lower(${invitations.email})`, email.toLowerCase())
  await tx
    .update(invitations)
    .set({ status: 'canceled', decidedAt: now })
    .where(and(eq(invitations.status, 'pending'), isOfAddress, lte(invitations.expiresAt, now)))
}
