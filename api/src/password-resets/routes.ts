import { z, type OpenAPIHono } from '@hono/zod-openapi'
import type { Env } from '../auth/access.js'
import { NewPassword } from '../auth/new-password.js'
import { defineRoute, jsonBody } from '../define-route.js'
import { askForReset } from './ask-for-reset.js'
import { redeemReset } from './redeem-reset.js'

const requestRoute = defineRoute({
  method: 'post',
  path: '/v1/password-resets',
  operationId: 'requestPasswordReset',
  summary: 'Mail a code for a new password; the answer does not tell whether there is such an account',
  access: { kind: 'public' },
  request: { body: jsonBody(z.object({ email: z.email().max(320) })) },
  responses: { 202: { description: 'If there is such an account, it is mailed a code' } },
})

const redeemRoute = defineRoute({
  method: 'post',
  path: '/v1/password-resets/redemptions',
  operationId: 'redeemPasswordReset',
  summary: 'Set a new password with a code that was mailed; ends every session',
  access: { kind: 'public' },
  request: { body: jsonBody(z.object({ secret: z.string().max(100), password: NewPassword })) },
  responses: { 204: { description: 'The password is set. Sign in with it' } },
})

export function registerPasswordResetRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(requestRoute, (c) => {
    askForReset(c.get('deps'), { ...c.req.valid('json'), address: c.get('address') })
    return c.body(null, 202)
  })
  app.openapi(redeemRoute, async (c) => {
    const from = { address: c.get('address'), requestId: c.get('requestId') }
    await redeemReset(c.get('deps'), { ...c.req.valid('json'), ...from })
    return c.body(null, 204)
  })
}
