import { apiTokens, withOrg } from '@capstan/migrations'
import { z, type OpenAPIHono } from '@hono/zod-openapi'
import { desc } from 'drizzle-orm'
import type { Env } from '../auth/access.js'
import { defineRoute, Id, jsonBody, jsonResponse, Timestamp } from '../define-route.js'
import { createApiToken } from './create-token.js'
import { revokeApiToken } from './revoke-token.js'

const ApiToken = z
  .object({
    id: Id,
    name: z.string(),
    lastFour: z.string(),
    expiresAt: Timestamp,
    lastUsedAt: Timestamp.nullable(),
    revokedAt: Timestamp.nullable(),
    createdAt: Timestamp,
  })
  .openapi('ApiToken')

const path = '/v1/organizations/{organizationId}/tokens'
const params = z.object({ organizationId: Id })

const createTokenRoute = defineRoute({
  method: 'post',
  path,
  operationId: 'createApiToken',
  summary: 'Create an API token; it is shown once',
  access: { kind: 'organization', scope: 'tokens:write' },
  request: {
    params,
    body: jsonBody(
      z.object({
        name: z.string().trim().min(1).max(200),
        expiresInDays: z.number().int().min(1).max(365).default(90),
      }),
    ),
  },
  responses: { 201: jsonResponse(ApiToken.extend({ token: z.string() }), 'The token') },
})

const listTokensRoute = defineRoute({
  method: 'get',
  path,
  operationId: 'listApiTokens',
  summary: 'API tokens of the organization, without their secrets',
  access: { kind: 'organization', scope: 'tokens:read' },
  request: { params },
  responses: { 200: jsonResponse(z.array(ApiToken), 'Tokens') },
})

const revokeTokenRoute = defineRoute({
  method: 'delete',
  path: `${path}/{tokenId}`,
  operationId: 'revokeApiToken',
  summary: 'Revoke an API token',
  access: { kind: 'organization', scope: 'tokens:write' },
  request: { params: params.extend({ tokenId: Id }) },
  responses: { 204: { description: 'Revoked' } },
})

export function registerTokenRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(createTokenRoute, async (c) => {
    const created = await createApiToken(c.get('ctx'), c.req.valid('json'))
    return c.json({ ...present(created), token: created.token }, 201)
  })
  app.openapi(listTokensRoute, async (c) => {
    const { db, orgId } = c.get('ctx')
    const rows = await withOrg(db, orgId, (tx) => tx.select().from(apiTokens).orderBy(desc(apiTokens.id)))
    return c.json(rows.map(present), 200)
  })
  app.openapi(revokeTokenRoute, async (c) => {
    await revokeApiToken(c.get('ctx'), c.req.valid('param').tokenId)
    return c.body(null, 204)
  })
}

function present(row: typeof apiTokens.$inferSelect): z.infer<typeof ApiToken> {
  return {
    id: row.id,
    name: row.name,
    lastFour: row.lastFour,
    expiresAt: row.expiresAt.toISOString(),
    lastUsedAt: row.lastUsedAt?.toISOString() ?? null,
    revokedAt: row.revokedAt?.toISOString() ?? null,
    createdAt: row.createdAt.toISOString(),
  }
}
