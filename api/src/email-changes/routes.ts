import { z, type OpenAPIHono } from '@hono/zod-openapi'
import type { Env } from '../auth/access.js'
import { selfOf } from '../auth/self.js'
import { defineRoute, jsonBody, jsonResponse } from '../define-route.js'
import { redeemEmailChange } from './redeem-email-change.js'
import { requestEmailChange } from './request-email-change.js'

const path = '/v1/users/me/email-changes'

const requestRoute = defineRoute({
  method: 'post',
  path,
  operationId: 'requestEmailChange',
  summary: 'Mail a code to a new address of the signed-in person, with a notice to the present one',
  access: { kind: 'principal' },
  request: { body: jsonBody(z.object({ email: z.email().max(320) })) },
  responses: { 202: { description: 'The new address is mailed a code, or that it has an account already' } },
})

const redeemRoute = defineRoute({
  method: 'post',
  path: `${path}/redemptions`,
  operationId: 'redeemEmailChange',
  summary: 'Take the new address with the code that was mailed to it; ends every other session of this person',
  access: { kind: 'principal' },
  request: { body: jsonBody(z.object({ secret: z.string().max(100) })) },
  responses: {
    200: jsonResponse(
      z.object({ email: z.string(), ended: z.number().int() }),
      'The address, and how many sessions ended',
    ),
  },
})

export function registerEmailChangeRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(requestRoute, async (c) => {
    await requestEmailChange(selfOf(c), c.req.valid('json').email)
    return c.body(null, 202)
  })
  app.openapi(redeemRoute, async (c) => c.json(await redeemEmailChange(selfOf(c), c.req.valid('json').secret), 200))
}
