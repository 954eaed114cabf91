import { grantableRoles } from '@capstan/migrations'
import { z, type OpenAPIHono } from '@hono/zod-openapi'
import type { Env } from '../auth/access.js'
import { defineRoute, Id, jsonBody, jsonResponse, PageQuery } from '../define-route.js'
import { createGrant } from './create-grant.js'
import { deleteGrant } from './delete-grant.js'
import { listGrants } from './list-grants.js'
import { Grant, presentGrant } from './present-grant.js'

const path = '/v1/organizations/{organizationId}/grants'
const params = z.object({ organizationId: Id })

const createRoute = defineRoute({
  method: 'post',
  path,
  operationId: 'createGrant',
  summary: 'Give a member or a team a role in an app or on a channel',
  access: { kind: 'organization', scope: 'members:write' },
  request: {
    params,
    body: jsonBody(
      z.object({
        userId: Id.optional(),
        teamId: Id.optional(),
        role: z.enum(grantableRoles),
        appId: Id.optional(),
        appChannelId: Id.optional(),
      }),
    ),
  },
  responses: { 201: jsonResponse(Grant, 'The grant') },
})

const listRoute = defineRoute({
  method: 'get',
  path,
  operationId: 'listGrants',
  summary: 'Roles in apps and on channels, of members and teams',
  access: { kind: 'organization', scope: 'access:read' },
  request: {
    params,
    query: PageQuery.extend({ userId: Id.optional(), teamId: Id.optional(), appId: Id.optional() }),
  },
  responses: { 200: jsonResponse(z.array(Grant), 'Grants') },
})

const deleteRoute = defineRoute({
  method: 'delete',
  path: `${path}/{grantId}`,
  operationId: 'deleteGrant',
  summary: 'Take a grant back',
  access: { kind: 'organization', scope: 'members:write' },
  request: { params: params.extend({ grantId: Id }) },
  responses: { 204: { description: 'Taken back' } },
})

export function registerGrantRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(createRoute, async (c) => {
    const { appChannelId: channelId, ...rest } = c.req.valid('json')
    return c.json(presentGrant(await createGrant(c.get('ctx'), { ...rest, channelId })), 201)
  })
  app.openapi(listRoute, async (c) => {
    const { limit = 50, offset = 0, ...filters } = c.req.valid('query')
    return c.json((await listGrants(c.get('ctx'), { ...filters, limit, offset })).map(presentGrant), 200)
  })
  app.openapi(deleteRoute, async (c) => {
    await deleteGrant(c.get('ctx'), { grantId: c.req.valid('param').grantId })
    return c.body(null, 204)
  })
}
