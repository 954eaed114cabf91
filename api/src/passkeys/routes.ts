import { passkeys, withUser } from '@capstan/migrations'
import { z, type OpenAPIHono } from '@hono/zod-openapi'
import type { RegistrationResponseJSON } from '@simplewebauthn/server'
import { asc, eq } from 'drizzle-orm'
import type { Env } from '../auth/access.js'
import { selfOf } from '../auth/self.js'
import { defineRoute, Id, jsonBody, jsonResponse, Timestamp } from '../define-route.js'
import { askForPasskey } from './check-passkey.js'
import { RegistrationResponse } from './passkey-schemas.js'
import { offerPasskey, registerPasskey } from './register-passkey.js'
import { removePasskey } from './remove-passkey.js'

const Passkey = z
  .object({ id: Id, name: z.string(), createdAt: Timestamp, lastUsedAt: Timestamp.nullable() })
  .openapi('Passkey')
const Options = z.record(z.string(), z.unknown()).openapi('PasskeyOptions', {
  description: 'Options for navigator.credentials as JSON (Web Authentication level 3)',
})
const path = '/v1/users/me/passkeys'

const challengeRoute = defineRoute({
  method: 'post',
  path: '/v1/passkeys/challenges',
  operationId: 'createPasskeyChallenge',
  summary: 'Begin to sign in with a passkey, or to confirm with one',
  access: { kind: 'public' },
  responses: { 201: jsonResponse(Options, 'What navigator.credentials.get() needs') },
})

const offerRoute = defineRoute({
  method: 'post',
  path: `${path}/challenges`,
  operationId: 'offerPasskey',
  summary: 'Begin to register a passkey',
  access: { kind: 'principal' },
  responses: { 201: jsonResponse(Options, 'What navigator.credentials.create() needs') },
})

const registerRoute = defineRoute({
  method: 'post',
  path,
  operationId: 'registerPasskey',
  summary: 'Register a passkey; the first second factor brings recovery codes, shown once',
  access: { kind: 'principal' },
  request: {
    body: jsonBody(z.object({ name: z.string().trim().min(1).max(100), response: RegistrationResponse })),
  },
  responses: { 201: jsonResponse(Passkey.extend({ recoveryCodes: z.array(z.string()) }), 'The passkey') },
})

const listRoute = defineRoute({
  method: 'get',
  path,
  operationId: 'listPasskeys',
  summary: 'Passkeys of the signed-in person',
  access: { kind: 'principal' },
  responses: { 200: jsonResponse(z.array(Passkey), 'Passkeys') },
})

const removeRoute = defineRoute({
  method: 'delete',
  path: `${path}/{passkeyId}`,
  operationId: 'removePasskey',
  summary: 'Remove a passkey',
  access: { kind: 'principal' },
  request: { params: z.object({ passkeyId: Id }) },
  responses: { 204: { description: 'Removed' } },
})

export function registerPasskeyRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(challengeRoute, async (c) => c.json(asJson(await askForPasskey(c.get('deps'))), 201))
  app.openapi(offerRoute, async (c) => c.json(asJson(await offerPasskey(selfOf(c))), 201))
  app.openapi(registerRoute, async (c) => {
    const { name, response } = c.req.valid('json')
    const registration = response as unknown as RegistrationResponseJSON
    const { passkey, recoveryCodes } = await registerPasskey(selfOf(c), { name, response: registration })
    return c.json({ ...present(passkey), recoveryCodes }, 201)
  })
  app.openapi(listRoute, async (c) => {
    const { db, session } = selfOf(c)
    const rows = await withUser(db, session.userId, (tx) =>
      tx.select().from(passkeys).where(eq(passkeys.userId, session.userId)).orderBy(asc(passkeys.id)),
    )
    return c.json(rows.map(present), 200)
  })
  app.openapi(removeRoute, async (c) => {
    await removePasskey(selfOf(c), c.req.valid('param').passkeyId)
    return c.body(null, 204)
  })
}

/** Options without values are left out when they are written. */
const asJson = (options: object) => options as Record<string, string>

function present(row: typeof passkeys.$inferSelect): z.infer<typeof Passkey> {
  return {
    id: row.id,
    name: row.name,
    createdAt: row.createdAt.toISOString(),
    lastUsedAt: row.lastUsedAt?.toISOString() ?? null,
  }
}
