import { invitableRoles, invitationStatuses } from '@capstan/migrations'
import { z, type OpenAPIHono } from '@hono/zod-openapi'
import type { Env } from '../auth/access.js'
import { selfOf } from '../auth/self.js'
import { defineRoute, Id, jsonBody, jsonResponse, PageQuery } from '../define-route.js'
import { acceptInvitation } from './accept-invitation.js'
import { cancelInvitation } from './cancel-invitation.js'
import { createAccount } from './create-account.js'
import { createInvitation } from './create-invitation.js'
import { listInvitations } from './list-invitations.js'
import { NewAccount } from './new-account.js'
import { Invitation, presentInvitation } from './present-invitation.js'
import { rejectInvitation } from './reject-invitation.js'

const path = '/v1/organizations/{organizationId}/invitations'
const params = z.object({ organizationId: Id })
const Secret = z.object({ secret: z.string().max(100) })

const createInvitationRoute = defineRoute({
  method: 'post',
  path,
  operationId: 'createInvitation',
  summary: 'Invite a person. The secret is shown once, and mailed where this server sends mail',
  access: { kind: 'organization', scope: 'members:write' },
  request: {
    params,
    body: jsonBody(
      z.object({
        email: z.email().max(320),
        role: z.enum(invitableRoles).default('viewer'),
        expiresInDays: z.number().int().min(1).max(30).default(7),
      }),
    ),
  },
  responses: { 201: jsonResponse(Invitation.extend({ secret: z.string() }), 'The invitation') },
})

const listRoute = defineRoute({
  method: 'get',
  path,
  operationId: 'listInvitations',
  summary: 'Invitations, newest first',
  access: { kind: 'organization', scope: 'access:read' },
  request: { params, query: PageQuery.extend({ status: z.enum(invitationStatuses).optional() }) },
  responses: { 200: jsonResponse(z.array(Invitation), 'Invitations') },
})

const cancelRoute = defineRoute({
  method: 'delete',
  path: `${path}/{invitationId}`,
  operationId: 'cancelInvitation',
  summary: 'Cancel a pending invitation',
  access: { kind: 'organization', scope: 'members:write' },
  request: { params: params.extend({ invitationId: Id }) },
  responses: { 204: { description: 'Canceled' } },
})

const acceptRoute = defineRoute({
  method: 'post',
  path: '/v1/invitations/acceptances',
  operationId: 'acceptInvitation',
  summary: 'Join the organization that the secret belongs to',
  access: { kind: 'principal' },
  request: { body: jsonBody(Secret) },
  responses: { 201: jsonResponse(z.object({ organizationId: Id }), 'Joined') },
})

const rejectRoute = defineRoute({
  method: 'post',
  path: '/v1/invitations/rejections',
  operationId: 'rejectInvitation',
  summary: 'Turn down the invitation that the secret belongs to',
  access: { kind: 'public' },
  request: { body: jsonBody(Secret) },
  responses: { 204: { description: 'Turned down' } },
})

const createAccountRoute = defineRoute({
  method: 'post',
  path: '/v1/invitations/accounts',
  operationId: 'createInvitedAccount',
  summary: 'Make an account for the invited e-mail address, and join',
  access: { kind: 'public' },
  request: {
    body: jsonBody(Secret.extend(NewAccount.shape)),
  },
  responses: { 201: jsonResponse(z.object({ userId: Id, organizationId: Id }), 'Made, and joined') },
})

export function registerInvitationRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(createInvitationRoute, async (c) => {
    const { invitation, secret } = await createInvitation(c.get('ctx'), c.req.valid('json'))
    return c.json({ ...presentInvitation(invitation), secret }, 201)
  })
  app.openapi(listRoute, async (c) => {
    const { limit = 50, offset = 0, status } = c.req.valid('query')
    return c.json((await listInvitations(c.get('ctx'), { status, limit, offset })).map(presentInvitation), 200)
  })
  app.openapi(cancelRoute, async (c) => {
    await cancelInvitation(c.get('ctx'), c.req.valid('param').invitationId)
    return c.body(null, 204)
  })
  app.openapi(acceptRoute, async (c) => c.json(await acceptInvitation(selfOf(c), c.req.valid('json').secret), 201))
  app.openapi(rejectRoute, async (c) => {
    const from = { address: c.get('address'), requestId: c.get('requestId') }
    await rejectInvitation(c.get('deps'), { ...c.req.valid('json'), ...from })
    return c.body(null, 204)
  })
  app.openapi(createAccountRoute, async (c) => {
    const from = { address: c.get('address'), requestId: c.get('requestId') }
    return c.json(await createAccount(c.get('deps'), { ...c.req.valid('json'), ...from }), 201)
  })
}
