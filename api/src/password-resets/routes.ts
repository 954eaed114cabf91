import { z, type OpenAPIHono } from '@hono/zod-openapi'
import type { Env } from '../auth/access.js'
import { networkOf } from '../auth/client-address.js'
import { NewPassword } from '../auth/new-password.js'
import { defineRoute, jsonBody } from '../define-route.js'
import { limitRate } from '../limit-rate.js'
import { Problem } from '../problems.js'
import { redeemReset } from './redeem-reset.js'
import { requestReset, requireMail } from './request-reset.js'

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

const admitNetwork = limitRate({ burst: 20, perSecond: 0.05 })
/** Of mails to one address: nobody's letterbox is filled from here. */
const admitAddress = limitRate({ burst: 3, perSecond: 1 / 900 })

function admitStranger(address: string | null, now: Date): void {
  if (address === null || admitNetwork(networkOf(address), now)) return
  throw new Problem('too-many-requests', 'Too many passwords are reset from your network. Try again in a minute.')
}

export function registerPasswordResetRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(requestRoute, (c) => {
    const deps = c.get('deps')
    requireMail(deps)
    admitStranger(c.get('address'), deps.now())
    const { email } = c.req.valid('json')
    // Not waited for: the time of the answer would tell whether there is such an account.
    if (admitAddress(email.toLowerCase(), deps.now())) {
      void requestReset(deps, email).catch((error: unknown) => deps.log.error({ err: error }, 'a reset was not mailed'))
    }
    return c.body(null, 202)
  })
  app.openapi(redeemRoute, async (c) => {
    admitStranger(c.get('address'), c.get('deps').now())
    await redeemReset(c.get('deps'), { ...c.req.valid('json'), requestId: c.get('requestId') })
    return c.body(null, 204)
  })
}
