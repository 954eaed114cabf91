import { users, withUser } from '@capstan/migrations'
import { z, type OpenAPIHono } from '@hono/zod-openapi'
import { eq } from 'drizzle-orm'
import type { Env } from '../auth/access.js'
import { defineRoute, Id, jsonResponse, Timestamp } from '../define-route.js'
import { findFactors, hasFactor } from '../second-factors/find-factors.js'
import { Problem } from '../problems.js'

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

export function registerUserRoutes(app: OpenAPIHono<Env>): void {
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
