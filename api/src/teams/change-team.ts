import { newId, teams, type Transaction, withOrg } from '@capstan/migrations'
import { and, eq, ne } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import { requireTeam, type Team } from './queries.js'

export async function createTeam(ctx: Context, { name }: { name: string }): Promise<Team> {
  requireScope(ctx, 'members:write')
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const [team] = await tx
      .insert(teams)
      .values({ id: newId(), orgId: ctx.orgId, name })
      .onConflictDoNothing()
      .returning()
    if (!team) throw nameTaken(name)
    await recordAudit(tx, ctx, { action: 'team.created', target: { team: team.id }, personal: { name } })
    return team
  })
}

export async function renameTeam(ctx: Context, { teamId, name }: { teamId: string; name: string }): Promise<Team> {
  requireScope(ctx, 'members:write')
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    await requireTeam(tx, teamId)
    await refuseTakenName(tx, teamId, name)
    const [team] = await tx.update(teams).set({ name, updatedAt: ctx.now() }).where(eq(teams.id, teamId)).returning()
    if (!team) throw new Problem('not-found', 'The organization has no such team.')
    await recordAudit(tx, ctx, { action: 'team.renamed', target: { team: teamId }, personal: { name } })
    return team
  })
}

/** Its members keep what they have otherwise. */
export async function deleteTeam(ctx: Context, teamId: string): Promise<void> {
  requireScope(ctx, 'members:write')
  await withOrg(ctx.db, ctx.orgId, async (tx) => {
    const team = await requireTeam(tx, teamId)
    await tx.delete(teams).where(eq(teams.id, teamId))
    await recordAudit(tx, ctx, { action: 'team.deleted', target: { team: teamId }, personal: { name: team.name } })
  })
}

async function refuseTakenName(tx: Transaction, teamId: string, name: string): Promise<void> {
  if ((await tx.$count(teams, and(eq(teams.name, name), ne(teams.id, teamId)))) > 0) throw nameTaken(name)
}

const nameTaken = (name: string) =>
  new Problem('team-name-taken', `There is a team named "${name}" already. Choose another name.`)
