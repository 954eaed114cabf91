import { sessions, withUser } from '@capstan/migrations'
import { z, type OpenAPIHono } from '@hono/zod-openapi'
import { and, eq } from 'drizzle-orm'
import type { Env } from '../auth/access.js'
import { defineRoute, Id, jsonBody, jsonResponse } from '../define-route.js'
import { Problem } from '../problems.js'
import { createSession } from './create-session.js'

const SignIn = z.object({
  email: z.string().max(320).optional(),
  password: z.string().max(1024).optional(),
  code: z.string().max(200).optional(),
  provider: z.string().max(50).optional(),
})

const createSessionRoute = defineRoute({
  method: 'post',
  path: '/v1/sessions',
  operationId: 'createSession',
  summary: 'Sign in with e-mail address and password',
  access: { kind: 'public' },
  request: { body: jsonBody(SignIn) },
  responses: { 201: jsonResponse(z.object({ id: Id, token: z.string() }), 'The session; the token is shown once') },
})

const deleteSessionRoute = defineRoute({
  method: 'delete',
  path: '/v1/sessions/{sessionId}',
  operationId: 'deleteSession',
  summary: 'Sign out',
  access: { kind: 'principal' },
  request: { params: z.object({ sessionId: z.string() }) },
  responses: { 204: { description: 'Signed out' } },
})

export function registerSessionRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(createSessionRoute, async (c) => {
    const { email, password } = c.req.valid('json')
    if (!email || !password) {
      throw new Problem(
        'sign-in-refused',
        'Send e-mail address and password, or use "login --token" with an API token.',
      )
    }
    return c.json(await createSession(c.get('deps'), { email, password }), 201)
  })
  app.openapi(deleteSessionRoute, async (c) => {
    const { db, now } = c.get('deps')
    const { userId } = c.get('principal')
    const { sessionId } = c.req.valid('param')
    if (!Id.safeParse(sessionId).success) throw new Problem('not-found')
    await withUser(db, userId, (tx) =>
      tx
        .update(sessions)
        .set({ revokedAt: now() })
        .where(and(eq(sessions.id, sessionId), eq(sessions.userId, userId))),
    )
    return c.body(null, 204)
  })
}
