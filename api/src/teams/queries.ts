import { roleGrants, teamMembers, teams, type Transaction } from '@capstan/migrations'
import { and, asc, eq, inArray, isNotNull, isNull } from 'drizzle-orm'
import { Problem } from '../problems.js'

export type Team = typeof teams.$inferSelect
export type TeamMember = typeof teamMembers.$inferSelect
export type RoleGrant = typeof roleGrants.$inferSelect

export async function requireTeam(tx: Transaction, teamId: string): Promise<Team> {
  const [found] = await tx.select().from(teams).where(eq(teams.id, teamId))
  if (!found) throw new Problem('not-found', 'The organization has no such team.')
  return found
}

export function membersOf(tx: Transaction, teamIds: readonly string[]): Promise<TeamMember[]> {
  return tx
    .select()
    .from(teamMembers)
    .where(inArray(teamMembers.teamId, [...teamIds]))
    .orderBy(asc(teamMembers.createdAt), asc(teamMembers.userId))
}

/** What teams have in whole apps; their other grants stand in the list of grants. */
export function appsOf(tx: Transaction, teamIds: readonly string[]): Promise<RoleGrant[]> {
  return tx
    .select()
    .from(roleGrants)
    .where(and(inArray(roleGrants.teamId, [...teamIds]), isNotNull(roleGrants.appId), isNull(roleGrants.channelId)))
    .orderBy(asc(roleGrants.id))
}
