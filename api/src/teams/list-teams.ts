import { teams, type Transaction, withOrg } from '@capstan/migrations'
import { and, asc, eq, ilike } from 'drizzle-orm'
import { containing } from '../channels/list-channels.js'
import { type Context, requireScope } from '../context.js'
import { appsOf, membersOf, requireTeam, type RoleGrant, type Team, type TeamMember } from './queries.js'

export type TeamWithParts = { team: Team; apps?: RoleGrant[]; members?: TeamMember[] }
export type TeamRelations = ReadonlySet<string>

export type ListTeams = {
  name?: string | undefined
  query?: string | undefined
  relations: TeamRelations
  limit: number
  offset: number
}

/** By name; with their members and what they have in apps where that is asked for. */
export async function listTeams(ctx: Context, input: ListTeams): Promise<TeamWithParts[]> {
  requireScope(ctx, 'members:read')
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const found = await tx
      .select()
      .from(teams)
      .where(
        and(
          input.name ? eq(teams.name, input.name) : undefined,
          input.query ? ilike(teams.name, containing(input.query)) : undefined,
        ),
      )
      .orderBy(asc(teams.name))
      .limit(input.limit)
      .offset(input.offset)
    return withParts(tx, found, input.relations)
  })
}

export async function getTeam(ctx: Context, teamId: string, relations: TeamRelations): Promise<TeamWithParts> {
  requireScope(ctx, 'members:read')
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const team = await requireTeam(tx, teamId)
    return { team, ...(await withParts(tx, [team], relations))[0] }
  })
}

async function withParts(tx: Transaction, found: Team[], relations: TeamRelations): Promise<TeamWithParts[]> {
  const ids = found.map(({ id }) => id)
  const apps = relations.has('apps') ? await appsOf(tx, ids) : null
  const members = relations.has('members') ? await membersOf(tx, ids) : null
  return found.map((team) => ({
    team,
    ...(apps ? { apps: apps.filter(({ teamId }) => teamId === team.id) } : {}),
    ...(members ? { members: members.filter(({ teamId }) => teamId === team.id) } : {}),
  }))
}
