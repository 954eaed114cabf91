import { sessions, withUser } from '@capstan/migrations'
import { z, type OpenAPIHono } from '@hono/zod-openapi'
import { and, desc, eq, gt, isNull } from 'drizzle-orm'
import type { Env } from '../auth/access.js'
import { selfOf, signedInOf } from '../auth/self.js'
import { defineRoute, Id, jsonBody, jsonResponse, Timestamp } from '../define-route.js'
import { createDeviceCode } from '../device-codes/create-device-code.js'
import { asAssertion, AuthenticationResponse } from '../passkeys/passkey-schemas.js'
import { Problem } from '../problems.js'
import { confirmSession } from './confirm-session.js'
import { endOthers, endSession } from './end-sessions.js'
import { signIn } from './sign-in.js'

const Proof = z.object({
  otp: z.string().max(10).optional(),
  recoveryCode: z.string().max(50).optional(),
  passkey: AuthenticationResponse.optional(),
})
const SignIn = Proof.extend({
  email: z.string().max(320).optional(),
  password: z.string().max(1024).optional(),
  code: z.string().max(200).optional(),
  provider: z.string().max(50).optional(),
})
const Session = z
  .object({
    id: Id,
    current: z.boolean(),
    client: z.enum(['api', 'cli', 'page']),
    userAgent: z.string(),
    twoFactor: z.boolean(),
    secondFactorAt: Timestamp.nullable(),
    createdAt: Timestamp,
    lastSeenAt: Timestamp.nullable(),
    expiresAt: Timestamp,
  })
  .openapi('Session')
const MAX_LISTED = 200

const createCodeRoute = defineRoute({
  method: 'post',
  path: '/v1/sessions/codes',
  operationId: 'createSessionCode',
  summary: 'Begin the browser login of a command line',
  access: { kind: 'public' },
  responses: {
    201: jsonResponse(z.object({ id: z.string(), code: z.string() }), '`id` is secret; a person types `code`'),
  },
})

const createSessionRoute = defineRoute({
  method: 'post',
  path: '/v1/sessions',
  operationId: 'createSession',
  summary: 'Sign in with e-mail address and password, a passkey, or a code confirmed in the browser',
  access: { kind: 'public' },
  request: { body: jsonBody(SignIn) },
  responses: { 201: jsonResponse(z.object({ id: Id, token: z.string() }), 'The session; the token is shown once') },
})

const listRoute = defineRoute({
  method: 'get',
  path: '/v1/sessions',
  operationId: 'listSessions',
  summary: 'Live sessions of the signed-in person, newest first',
  access: { kind: 'principal' },
  responses: { 200: jsonResponse(z.array(Session), 'Sessions') },
})

const confirmRoute = defineRoute({
  method: 'post',
  path: '/v1/sessions/current/second-factor',
  operationId: 'confirmSession',
  summary: 'Present a second factor; opens what is sensitive for five minutes',
  access: { kind: 'principal' },
  request: { body: jsonBody(Proof) },
  responses: { 204: { description: 'Confirmed' } },
})

const deleteSessionRoute = defineRoute({
  method: 'delete',
  path: '/v1/sessions/{sessionId}',
  operationId: 'deleteSession',
  summary: 'Sign out: this session or another of the same person',
  access: { kind: 'principal' },
  request: { params: z.object({ sessionId: z.string() }) },
  responses: { 204: { description: 'Signed out' } },
})

const deleteOthersRoute = defineRoute({
  method: 'delete',
  path: '/v1/sessions',
  operationId: 'deleteOtherSessions',
  summary: 'Sign out everywhere else',
  access: { kind: 'principal' },
  responses: { 200: jsonResponse(z.object({ ended: z.number().int() }), 'How many sessions ended') },
})

export function registerSessionRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(createCodeRoute, async (c) =>
    c.json(
      await createDeviceCode(c.get('deps'), { address: c.get('address'), userAgent: c.req.header('user-agent') }),
      201,
    ),
  )
  app.openapi(createSessionRoute, async (c) => {
    const { passkey, ...rest } = c.req.valid('json')
    const [userAgent, requestId] = [c.req.header('user-agent'), c.get('requestId')]
    const from = { client: 'api', address: c.get('address'), userAgent, requestId } as const
    return c.json(await signIn(c.get('deps'), { ...rest, passkey: asAssertion(passkey) }, from), 201)
  })
  app.openapi(listRoute, async (c) => {
    const { db, session, now } = selfOf(c)
    const live = and(eq(sessions.userId, session.userId), isNull(sessions.revokedAt), gt(sessions.expiresAt, now()))
    const rows = await withUser(db, session.userId, (tx) =>
      tx.select().from(sessions).where(live).orderBy(desc(sessions.id)).limit(MAX_LISTED),
    )
    return c.json(
      rows.map((row) => present(row, session.sessionId)),
      200,
    )
  })
  app.openapi(confirmRoute, async (c) => {
    const { passkey, ...rest } = c.req.valid('json')
    await confirmSession(selfOf(c), { ...rest, passkey: asAssertion(passkey) })
    return c.body(null, 204)
  })
  app.openapi(deleteOthersRoute, async (c) => c.json({ ended: await endOthers(selfOf(c)) }, 200))
  app.openapi(deleteSessionRoute, async (c) => {
    const { sessionId } = c.req.valid('param')
    if (!Id.safeParse(sessionId).success) throw new Problem('not-found')
    const self = signedInOf(c)
    await endSession(sessionId === self.session.sessionId ? self : selfOf(c), sessionId)
    return c.body(null, 204)
  })
}

function present(row: typeof sessions.$inferSelect, current: string): z.infer<typeof Session> {
  return {
    id: row.id,
    current: row.id === current,
    client: row.client,
    userAgent: row.userAgent,
    twoFactor: row.twoFactor,
    secondFactorAt: row.secondFactorAt?.toISOString() ?? null,
    createdAt: row.createdAt.toISOString(),
    lastSeenAt: row.lastSeenAt?.toISOString() ?? null,
    expiresAt: row.expiresAt.toISOString(),
  }
}
