import type { appPublicKeys } from '@capstan/migrations'
import { readReleasePublicKey } from '@capstan/sdk/release'
import { z, type OpenAPIHono } from '@hono/zod-openapi'
import type { Env } from '../auth/access.js'
import { defineRoute, Id, jsonBody, jsonResponse, Timestamp } from '../define-route.js'
import { addPublicKey } from './add-public-key.js'
import { listPublicKeys } from './list-public-keys.js'
import { profilesOf } from './read-key.js'
import { revokePublicKey } from './revoke-public-key.js'

const PublicKey = z
  .object({
    id: Id,
    appId: Id,
    pem: z.string(),
    algorithm: z.enum(['RSASSA-PKCS1-v1_5', 'RSA-PSS', 'Ed25519']),
    bits: z.number().int(),
    profiles: z
      .array(z.enum(['compat', 'release']))
      .openapi({ description: 'compat: the official plugins can verify by it; release: our own client can.' }),
    fingerprintSha256: z.string(),
    revokedAt: Timestamp.nullable(),
    createdAt: Timestamp,
  })
  .openapi('PublicKey', { description: 'A key of the customer that may sign live updates of the app.' })

const NewKey = z.object({
  pem: z.string().min(1).max(16_384),
  profile: z
    .enum(['compat', 'release'])
    .optional()
    .openapi({ description: 'Refuse the key when the clients of this profile could not use it.' }),
})

const addRoute = defineRoute({
  method: 'post',
  path: '/v1/apps/{appId}/public-keys',
  operationId: 'addPublicKey',
  summary: 'Register a public key that signs live updates',
  access: { kind: 'app', scope: 'public-keys:write' },
  request: { params: z.object({ appId: Id }), body: jsonBody(NewKey) },
  responses: { 201: jsonResponse(PublicKey, 'The key') },
})

const listRoute = defineRoute({
  method: 'get',
  path: '/v1/apps/{appId}/public-keys',
  operationId: 'listPublicKeys',
  summary: 'Public keys of an app, oldest first',
  access: { kind: 'app', scope: 'apps:read' },
  request: { params: z.object({ appId: Id }) },
  responses: { 200: jsonResponse(z.array(PublicKey), 'Keys') },
})

const revokeRoute = defineRoute({
  method: 'delete',
  path: '/v1/apps/{appId}/public-keys/{publicKeyId}',
  operationId: 'revokePublicKey',
  summary: 'Revoke a public key',
  access: { kind: 'app', scope: 'public-keys:write' },
  request: { params: z.object({ appId: Id, publicKeyId: Id }) },
  responses: { 204: { description: 'Revoked' } },
})

export function registerPublicKeyRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(addRoute, async (c) => {
    const key = await addPublicKey(c.get('ctx'), { ...c.req.valid('json'), appId: c.req.valid('param').appId })
    return c.json(presentPublicKey(key), 201)
  })
  app.openapi(listRoute, async (c) =>
    c.json((await listPublicKeys(c.get('ctx'), c.req.valid('param').appId)).map(presentPublicKey), 200),
  )
  app.openapi(revokeRoute, async (c) => {
    await revokePublicKey(c.get('ctx'), c.req.valid('param'))
    return c.body(null, 204)
  })
}

function presentPublicKey(row: typeof appPublicKeys.$inferSelect): z.infer<typeof PublicKey> {
  const { algorithm, bits } = readReleasePublicKey(row.pem)
  return {
    id: row.id,
    appId: row.appId,
    pem: row.pem,
    algorithm,
    bits,
    profiles: profilesOf({ algorithm, bits }),
    fingerprintSha256: row.fingerprintSha256,
    revokedAt: row.revokedAt?.toISOString() ?? null,
    createdAt: row.createdAt.toISOString(),
  }
}
