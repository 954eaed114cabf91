import { z, type OpenAPIHono } from '@hono/zod-openapi'
import type { Env } from '../auth/access.js'
import { selfOf } from '../auth/self.js'
import { defineRoute, jsonBody, jsonResponse } from '../define-route.js'
import { removeTotp, renewRecoveryCodes } from './change-factors.js'
import { confirmTotp, startTotp } from './enrol-totp.js'

const RecoveryCodes = z.object({ recoveryCodes: z.array(z.string()) })
const path = '/v1/users/me/totp'

const startRoute = defineRoute({
  method: 'post',
  path,
  operationId: 'startTotp',
  summary: 'Begin to set up an authenticator app; the secret is shown once',
  access: { kind: 'principal' },
  responses: { 201: jsonResponse(z.object({ secret: z.string(), uri: z.string() }), 'The secret') },
})

const confirmRoute = defineRoute({
  method: 'post',
  path: `${path}/confirmation`,
  operationId: 'confirmTotp',
  summary: 'Confirm the authenticator app with its first code; answers recovery codes, shown once',
  access: { kind: 'principal' },
  request: { body: jsonBody(z.object({ otp: z.string().min(6).max(10) })) },
  responses: { 201: jsonResponse(RecoveryCodes, 'Recovery codes') },
})

const removeRoute = defineRoute({
  method: 'delete',
  path,
  operationId: 'removeTotp',
  summary: 'Remove the authenticator app',
  access: { kind: 'principal' },
  responses: { 204: { description: 'Removed' } },
})

const renewRoute = defineRoute({
  method: 'post',
  path: '/v1/users/me/recovery-codes',
  operationId: 'renewRecoveryCodes',
  summary: 'New recovery codes in place of the old ones, shown once',
  access: { kind: 'principal' },
  responses: { 201: jsonResponse(RecoveryCodes, 'Recovery codes') },
})

export function registerSecondFactorRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(startRoute, async (c) => c.json(await startTotp(selfOf(c)), 201))
  app.openapi(confirmRoute, async (c) => c.json(await confirmTotp(selfOf(c), c.req.valid('json').otp), 201))
  app.openapi(removeRoute, async (c) => {
    await removeTotp(selfOf(c))
    return c.body(null, 204)
  })
  app.openapi(renewRoute, async (c) => c.json(await renewRecoveryCodes(selfOf(c)), 201))
}
