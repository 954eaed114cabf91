import { z, type OpenAPIHono } from '@hono/zod-openapi'
import type { Env } from '../auth/access.js'
import { defineRoute, Id, jsonResponse } from '../define-route.js'
import { exchangeToken } from './exchange-token.js'

const TOKEN_TYPES = 'urn:ietf:params:oauth:token-type'

/** RFC 8693, section 2.1. `audience` names what the new token is for: here the trust policy. */
const Exchange = z.object({
  grant_type: z.literal('urn:ietf:params:oauth:grant-type:token-exchange'),
  audience: Id,
  subject_token: z.string().min(1).max(16_384),
  subject_token_type: z.enum([`${TOKEN_TYPES}:jwt`, `${TOKEN_TYPES}:id_token`]),
})
const Exchanged = z
  .object({
    access_token: z.string(),
    issued_token_type: z.literal(`${TOKEN_TYPES}:access_token`),
    token_type: z.literal('Bearer'),
    expires_in: z.number().int(),
    scope: z.string(),
  })
  .openapi('ExchangedToken')

const exchangeRoute = defineRoute({
  method: 'post',
  path: '/v1/ci-tokens',
  operationId: 'exchangeCiToken',
  summary: 'Exchange the OpenID Connect token of a CI job for a short-lived API token, once (RFC 8693)',
  access: { kind: 'public' },
  request: { body: { content: { 'application/x-www-form-urlencoded': { schema: Exchange } } } },
  responses: { 200: jsonResponse(Exchanged, 'The token; it is shown once') },
})

export function registerCiTokenRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(exchangeRoute, async (c) => {
    const { audience, subject_token } = c.req.valid('form')
    const from = { address: c.get('address'), requestId: c.get('requestId') }
    const { token, seconds, scopes } = await exchangeToken(c.get('deps'), {
      trustPolicyId: audience,
      subjectToken: subject_token,
      ...from,
    })
    c.header('cache-control', 'no-store')
    return c.json(
      {
        access_token: token,
        issued_token_type: `${TOKEN_TYPES}:access_token` as const,
        token_type: 'Bearer' as const,
        expires_in: seconds,
        scope: scopes.join(' '),
      },
      200,
    )
  })
}
