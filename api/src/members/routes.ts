import { roles } from '@capstan/migrations'
import { z, type OpenAPIHono } from '@hono/zod-openapi'
import type { Env } from '../auth/access.js'
import { plainText } from '../channels/plain-text.js'
import { defineRoute, Id, jsonBody, jsonResponse, PageQuery } from '../define-route.js'
import { changeRole } from './change-role.js'
import { getMember, listMembers } from './list-members.js'
import { Member, presentMember } from './present-member.js'
import { removeMember } from './remove-member.js'

const path = '/v1/organizations/{organizationId}/members'
const params = z.object({ organizationId: Id })
const memberParams = params.extend({ memberId: Id })

const listRoute = defineRoute({
  method: 'get',
  path,
  operationId: 'listMembers',
  summary: 'Who belongs to the organization',
  access: { kind: 'organization', scope: 'members:read' },
  request: {
    params,
    query: PageQuery.extend({ role: z.enum(roles).optional(), query: plainText(200).optional() }),
  },
  responses: { 200: jsonResponse(z.array(Member), 'Members') },
})

const getRoute = defineRoute({
  method: 'get',
  path: `${path}/{memberId}`,
  operationId: 'getMember',
  summary: 'One member',
  access: { kind: 'organization', scope: 'members:read' },
  request: { params: memberParams },
  responses: { 200: jsonResponse(Member, 'The member') },
})

const updateRoute = defineRoute({
  method: 'patch',
  path: `${path}/{memberId}`,
  operationId: 'updateMember',
  summary: 'Give a member another role, or a suspended one back',
  access: { kind: 'organization', scope: 'members:write' },
  request: { params: memberParams, body: jsonBody(z.object({ role: z.enum(roles) })) },
  responses: { 200: jsonResponse(Member, 'The member') },
})

const removeRoute = defineRoute({
  method: 'delete',
  path: `${path}/{memberId}`,
  operationId: 'removeMember',
  summary: 'Remove a member with their tokens, teams and grants',
  access: { kind: 'organization', scope: 'members:write' },
  request: { params: memberParams },
  responses: { 204: { description: 'Removed' } },
})

export function registerMemberRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(listRoute, async (c) => {
    const { limit = 50, offset = 0, ...filters } = c.req.valid('query')
    return c.json((await listMembers(c.get('ctx'), { ...filters, limit, offset })).map(presentMember), 200)
  })
  app.openapi(getRoute, async (c) =>
    c.json(presentMember(await getMember(c.get('ctx'), c.req.valid('param').memberId)), 200),
  )
  app.openapi(updateRoute, async (c) => {
    const { memberId: userId } = c.req.valid('param')
    return c.json(presentMember(await changeRole(c.get('ctx'), { ...c.req.valid('json'), userId })), 200)
  })
  app.openapi(removeRoute, async (c) => {
    await removeMember(c.get('ctx'), c.req.valid('param').memberId)
    return c.body(null, 204)
  })
}
