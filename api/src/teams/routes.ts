import { grantableRoles } from '@capstan/migrations'
import { z, type OpenAPIHono } from '@hono/zod-openapi'
import type { Env } from '../auth/access.js'
import { plainText } from '../channels/plain-text.js'
import { defineRoute, Id, jsonBody, jsonResponse, PageQuery, Relations } from '../define-route.js'
import { createGrant } from '../grants/create-grant.js'
import { deleteGrant } from '../grants/delete-grant.js'
import { Grant, presentGrant } from '../grants/present-grant.js'
import { addTeamMember, removeTeamMember } from './change-team-members.js'
import { createTeam, deleteTeam, renameTeam } from './change-team.js'
import { getTeam, listTeams } from './list-teams.js'
import { presentTeam, presentTeamMember, Team, TeamApp, TeamMember } from './present-team.js'

const path = '/v1/organizations/{organizationId}/teams'
const params = z.object({ organizationId: Id })
const teamParams = params.extend({ teamId: Id })
const body = jsonBody(z.object({ name: plainText(100).trim().min(1) }))
const reads = { kind: 'organization', scope: 'members:read' } as const
const writes = { kind: 'organization', scope: 'members:write' } as const

const createRoute = defineRoute({
  method: 'post',
  path,
  operationId: 'createTeam',
  summary: 'Create a team; it has nothing until apps are added to it',
  access: writes,
  request: { params, body },
  responses: { 201: jsonResponse(Team, 'The team') },
})

const listRoute = defineRoute({
  method: 'get',
  path,
  operationId: 'listTeams',
  summary: 'Teams of the organization, with relations=apps,members what belongs to them',
  access: reads,
  request: {
    params,
    query: PageQuery.extend({
      name: plainText(100).optional(),
      query: plainText(100).optional(),
      relations: Relations,
    }),
  },
  responses: { 200: jsonResponse(z.array(Team), 'Teams') },
})

const getRoute = defineRoute({
  method: 'get',
  path: `${path}/{teamId}`,
  operationId: 'getTeam',
  summary: 'One team',
  access: reads,
  request: { params: teamParams, query: z.object({ relations: Relations }) },
  responses: { 200: jsonResponse(Team, 'The team') },
})

const updateRoute = defineRoute({
  method: 'patch',
  path: `${path}/{teamId}`,
  operationId: 'updateTeam',
  summary: 'Rename a team',
  access: writes,
  request: { params: teamParams, body },
  responses: { 200: jsonResponse(Team, 'The team') },
})

const deleteRoute = defineRoute({
  method: 'delete',
  path: `${path}/{teamId}`,
  operationId: 'deleteTeam',
  summary: 'Delete a team with its grants; its members stay members',
  access: writes,
  request: { params: teamParams },
  responses: { 204: { description: 'Deleted' } },
})

const listMembersRoute = defineRoute({
  method: 'get',
  path: `${path}/{teamId}/members`,
  operationId: 'listTeamMembers',
  summary: 'Who is in a team',
  access: reads,
  request: { params: teamParams },
  responses: { 200: jsonResponse(z.array(TeamMember), 'Members') },
})

const addMemberRoute = defineRoute({
  method: 'post',
  path: `${path}/{teamId}/members`,
  operationId: 'addTeamMember',
  summary: 'Add a member of the organization to a team',
  access: writes,
  request: { params: teamParams, body: jsonBody(z.object({ userId: Id })) },
  responses: { 201: jsonResponse(TeamMember, 'The member') },
})

const removeMemberRoute = defineRoute({
  method: 'delete',
  path: `${path}/{teamId}/members/{userId}`,
  operationId: 'removeTeamMember',
  summary: 'Remove a member from a team',
  access: writes,
  request: { params: teamParams.extend({ userId: Id }) },
  responses: { 204: { description: 'Removed' } },
})

const listAppsRoute = defineRoute({
  method: 'get',
  path: `${path}/{teamId}/apps`,
  operationId: 'listTeamApps',
  summary: 'In which apps a team has a role',
  access: reads,
  request: { params: teamParams },
  responses: { 200: jsonResponse(z.array(TeamApp), 'Apps') },
})

const addAppRoute = defineRoute({
  method: 'post',
  path: `${path}/{teamId}/apps`,
  operationId: 'addTeamApp',
  summary: 'Give a team a role in an app, or another one',
  access: writes,
  request: {
    params: teamParams,
    body: jsonBody(z.object({ appId: Id, role: z.enum(grantableRoles).default('member') })),
  },
  responses: { 201: jsonResponse(Grant, 'The grant') },
})

const removeAppRoute = defineRoute({
  method: 'delete',
  path: `${path}/{teamId}/apps/{appId}`,
  operationId: 'removeTeamApp',
  summary: 'Take from a team what it has in an app',
  access: writes,
  request: { params: teamParams.extend({ appId: Id }) },
  responses: { 204: { description: 'Removed' } },
})

export function registerTeamRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(createRoute, async (c) =>
    c.json(presentTeam({ team: await createTeam(c.get('ctx'), c.req.valid('json')) }), 201),
  )
  app.openapi(listRoute, async (c) => {
    const { limit = 50, offset = 0, ...rest } = c.req.valid('query')
    return c.json((await listTeams(c.get('ctx'), { ...rest, limit, offset })).map(presentTeam), 200)
  })
  app.openapi(getRoute, async (c) => {
    const { teamId } = c.req.valid('param')
    return c.json(presentTeam(await getTeam(c.get('ctx'), teamId, c.req.valid('query').relations)), 200)
  })
  app.openapi(updateRoute, async (c) => {
    const { teamId } = c.req.valid('param')
    return c.json(presentTeam({ team: await renameTeam(c.get('ctx'), { ...c.req.valid('json'), teamId }) }), 200)
  })
  app.openapi(deleteRoute, async (c) => {
    await deleteTeam(c.get('ctx'), c.req.valid('param').teamId)
    return c.body(null, 204)
  })
  registerPartRoutes(app)
}

function registerPartRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(listMembersRoute, async (c) => {
    const team = await getTeam(c.get('ctx'), c.req.valid('param').teamId, new Set(['members']))
    return c.json(presentTeam(team).members ?? [], 200)
  })
  app.openapi(addMemberRoute, async (c) => {
    const { teamId } = c.req.valid('param')
    return c.json(presentTeamMember(await addTeamMember(c.get('ctx'), { ...c.req.valid('json'), teamId })), 201)
  })
  app.openapi(removeMemberRoute, async (c) => {
    const { teamId, userId } = c.req.valid('param')
    await removeTeamMember(c.get('ctx'), { teamId, userId })
    return c.body(null, 204)
  })
  app.openapi(listAppsRoute, async (c) => {
    const team = await getTeam(c.get('ctx'), c.req.valid('param').teamId, new Set(['apps']))
    return c.json(presentTeam(team).apps ?? [], 200)
  })
  app.openapi(addAppRoute, async (c) => {
    const { teamId } = c.req.valid('param')
    return c.json(presentGrant(await createGrant(c.get('ctx'), { ...c.req.valid('json'), teamId })), 201)
  })
  app.openapi(removeAppRoute, async (c) => {
    const { teamId, appId } = c.req.valid('param')
    await deleteGrant(c.get('ctx'), { teamId, appId })
    return c.body(null, 204)
  })
}
