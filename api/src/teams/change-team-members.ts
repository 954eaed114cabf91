import { teamMembers, type Transaction, withOrg } from '@capstan/migrations'
import { and, eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { requireMember } from '../members/list-members.js'
import { Problem } from '../problems.js'
import { requireTeam, type TeamMember } from './queries.js'

export type TeamMemberKey = { teamId: string; userId: string }

/** The member has what the team has, with the next request. Adding a suspended one gives it back. */
export async function addTeamMember(ctx: Context, { teamId, userId }: TeamMemberKey): Promise<TeamMember> {
  requireScope(ctx, 'members:write')
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    await requireTeam(tx, teamId)
    await requireMember(tx, userId)
    const [added] = await tx
      .insert(teamMembers)
      .values({ orgId: ctx.orgId, teamId, userId })
      .onConflictDoUpdate({ target: [teamMembers.teamId, teamMembers.userId], set: { suspendedAt: null } })
      .returning()
    if (!added) throw new Error('The member was not added to the team.')
    await recordAudit(tx, ctx, { action: 'team_member.added', target: { team: teamId, user: userId } })
    return added
  })
}

export async function removeTeamMember(ctx: Context, { teamId, userId }: TeamMemberKey): Promise<void> {
  requireScope(ctx, 'members:write')
  await withOrg(ctx.db, ctx.orgId, async (tx) => {
    if (!(await leaveTeam(tx, ctx, { teamId, userId }))) throw new Problem('not-found', 'The team has no such member.')
  })
}

/** Whether the person was in it. */
export async function leaveTeam(tx: Transaction, ctx: Context, { teamId, userId }: TeamMemberKey): Promise<boolean> {
  const removed = await tx
    .delete(teamMembers)
    .where(and(eq(teamMembers.teamId, teamId), eq(teamMembers.userId, userId)))
    .returning({ userId: teamMembers.userId })
  if (removed.length === 0) return false
  await recordAudit(tx, ctx, { action: 'team_member.removed', target: { team: teamId, user: userId } })
  return true
}
