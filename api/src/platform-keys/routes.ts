import { z, type OpenAPIHono } from '@hono/zod-openapi'
import { allowOtherOrigins } from '../allow-other-origins.js'
import type { Env } from '../auth/access.js'
import { defineRoute, jsonResponse } from '../define-route.js'
import { platformKeyOf } from './platform-key.js'

const PlatformKey = z
  .object({
    keyId: z.string(),
    pem: z.string(),
    algorithm: z.literal('Ed25519'),
    use: z.literal('channel-statement'),
  })
  .openapi('PlatformKey', { description: 'A key of this server, to compile into apps.' })

const listRoute = defineRoute({
  method: 'get',
  path: '/v1/platform-keys',
  operationId: 'listPlatformKeys',
  summary: 'The keys by which this server says what is current; none when it signs no channel statements',
  access: { kind: 'public' },
  request: {},
  responses: { 200: jsonResponse(z.array(PlatformKey), 'Keys') },
})

export function registerPlatformKeyRoutes(app: OpenAPIHono<Env>): void {
  allowOtherOrigins(app, [listRoute])
  app.openapi(listRoute, async (c) => {
    const key = await platformKeyOf(c.get('deps').channelStatementKey)
    c.header('cache-control', 'public, max-age=300')
    return c.json(key ? [{ ...key, algorithm: 'Ed25519' as const, use: 'channel-statement' as const }] : [], 200)
  })
}
