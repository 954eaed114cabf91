import { users, withUser } from '@capstan/migrations'
import { z, type OpenAPIHono } from '@hono/zod-openapi'
import { eq } from 'drizzle-orm'
import type { Env } from '../auth/access.js'
import { NewPassword } from '../auth/new-password.js'
import { selfOf, signedInOf } from '../auth/self.js'
import { defineRoute, Id, jsonBody, jsonResponse, Timestamp } from '../define-route.js'
import { findFactors, hasFactor } from '../second-factors/find-factors.js'
import { Problem } from '../problems.js'
import { leaveOrganization } from '../members/leave-organization.js'
import { changePassword } from './change-password.js'
import { deleteAccount } from './delete-account.js'

const User = z
  .object({
    id: Id,
    email: z.string(),
    emailVerified: z.boolean(),
    name: z.string().nullable(),
    image: z.string().nullable(),
    twoFactorEnabled: z.boolean(),
    lastSeenAt: Timestamp.nullable(),
    createdAt: Timestamp,
    updatedAt: Timestamp,
  })
  .openapi('User')

const getMeRoute = defineRoute({
  method: 'get',
  path: '/v1/users/me',
  operationId: 'getMe',
  summary: 'The signed-in person',
  access: { kind: 'principal' },
  responses: { 200: jsonResponse(User, 'The person') },
})

const changePasswordRoute = defineRoute({
  method: 'put',
  path: '/v1/users/me/password',
  operationId: 'changePassword',
  summary: 'Change the password; ends every other session of this person',
  access: { kind: 'principal' },
  request: { body: jsonBody(z.object({ password: z.string().max(1024), newPassword: NewPassword })) },
  responses: { 200: jsonResponse(z.object({ ended: z.number().int() }), 'How many sessions ended') },
})

const leaveRoute = defineRoute({
  method: 'delete',
  path: '/v1/users/me/memberships/{organizationId}',
  operationId: 'leaveOrganization',
  summary: 'Leave an organization; tokens and trust policies made there end',
  access: { kind: 'principal' },
  request: { params: z.object({ organizationId: Id }) },
  responses: { 204: { description: 'Left' } },
})

const deleteAccountRoute = defineRoute({
  method: 'delete',
  path: '/v1/users/me',
  operationId: 'deleteAccount',
  summary: 'Delete the account of the signed-in person, with all that is personal',
  access: { kind: 'principal' },
  responses: { 204: { description: 'Deleted' } },
})

export function registerUserRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(leaveRoute, async (c) => {
    await leaveOrganization(signedInOf(c), c.req.valid('param').organizationId)
    return c.body(null, 204)
  })
  app.openapi(deleteAccountRoute, async (c) => {
    await deleteAccount(selfOf(c))
    return c.body(null, 204)
  })
  app.openapi(changePasswordRoute, async (c) => c.json(await changePassword(selfOf(c), c.req.valid('json')), 200))
  app.openapi(getMeRoute, async (c) => {
    const { userId } = c.get('principal')
    const { user, factors } = await withUser(c.get('deps').db, userId, async (tx) => ({
      user: (await tx.select().from(users).where(eq(users.id, userId)))[0],
      factors: await findFactors(tx, userId),
    }))
    if (!user) throw new Problem('token-invalid')
    return c.json(
      {
        id: user.id,
        email: user.email,
        emailVerified: false,
        name: user.name,
        image: null,
        twoFactorEnabled: hasFactor(factors),
        lastSeenAt: user.lastSeenAt?.toISOString() ?? null,
        createdAt: user.createdAt.toISOString(),
        updatedAt: user.updatedAt.toISOString(),
      },
      200,
    )
  })
}
