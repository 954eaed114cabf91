import { grantableRoles } from '@capstan/migrations'
import { z } from '@hono/zod-openapi'
import { Id, Timestamp } from '../define-route.js'
import type { TeamWithParts } from './list-teams.js'
import type { RoleGrant, TeamMember as TeamMemberRow } from './queries.js'

export const TeamMember = z
  .object({ teamId: Id, userId: Id, suspendedAt: Timestamp.nullable(), createdAt: Timestamp })
  .openapi('TeamMember')

export const TeamApp = z
  .object({
    teamId: Id,
    appId: Id,
    role: z.enum(grantableRoles),
    grantId: Id,
    suspendedAt: Timestamp.nullable(),
    createdAt: Timestamp,
  })
  .openapi('TeamApp')

export const Team = z
  .object({
    id: Id,
    organizationId: Id,
    name: z.string(),
    createdAt: Timestamp,
    updatedAt: Timestamp,
    apps: z.array(TeamApp).optional(),
    members: z.array(TeamMember).optional(),
  })
  .openapi('Team')

export function presentTeam({ team, apps, members }: TeamWithParts): z.infer<typeof Team> {
  return {
    id: team.id,
    organizationId: team.orgId,
    name: team.name,
    createdAt: team.createdAt.toISOString(),
    updatedAt: team.updatedAt.toISOString(),
    ...(apps ? { apps: apps.flatMap(presentTeamApp) } : {}),
    ...(members ? { members: members.map(presentTeamMember) } : {}),
  }
}

export function presentTeamMember(row: TeamMemberRow): z.infer<typeof TeamMember> {
  return {
    teamId: row.teamId,
    userId: row.userId,
    suspendedAt: row.suspendedAt?.toISOString() ?? null,
    createdAt: row.createdAt.toISOString(),
  }
}

/** Nothing for a grant that is not of a team in an app. */
function presentTeamApp({ id, teamId, appId, role, ...row }: RoleGrant): z.infer<typeof TeamApp>[] {
  if (teamId === null || appId === null) return []
  const suspendedAt = row.suspendedAt?.toISOString() ?? null
  return [{ teamId, appId, role, grantId: id, suspendedAt, createdAt: row.createdAt.toISOString() }]
}
