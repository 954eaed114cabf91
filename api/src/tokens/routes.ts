import { apiTokenKinds, apiTokens, withOrg } from '@capstan/migrations'
import { z, type OpenAPIHono } from '@hono/zod-openapi'
import { desc } from 'drizzle-orm'
import type { Env } from '../auth/access.js'
import { defineRoute, Id, jsonBody, jsonResponse, PageQuery, Timestamp } from '../define-route.js'
import { createApiToken } from './create-token.js'
import { revokeApiToken } from './revoke-token.js'
import { rotateApiToken } from './rotate-token.js'

const ApiToken = z
  .object({
    id: Id,
    /** Who made it; a personal token acts as this person. */
    userId: Id,
    name: z.string(),
    kind: z.enum(apiTokenKinds),
    /** Null: whatever the role of its owner includes. */
    scopes: z.array(z.string()).nullable(),
    cidrs: z.array(z.string()).nullable(),
    lastFour: z.string(),
    replacesId: Id.nullable(),
    expiresAt: Timestamp,
    lastUsedAt: Timestamp.nullable(),
    revokedAt: Timestamp.nullable(),
    createdAt: Timestamp,
  })
  .openapi('ApiToken')
const NewApiToken = ApiToken.extend({ token: z.string() })

const path = '/v1/organizations/{organizationId}/tokens'
const params = z.object({ organizationId: Id })
const tokenParams = params.extend({ tokenId: Id })

const createTokenRoute = defineRoute({
  method: 'post',
  path,
  operationId: 'createApiToken',
  summary: 'Create an API token; it is shown once. One made through a token does not outlive that token',
  access: { kind: 'organization', scope: 'tokens:write' },
  request: {
    params,
    body: jsonBody(
      z.object({
        name: z.string().trim().min(1).max(200),
        expiresInDays: z.number().int().min(1).max(365).default(90),
        kind: z.enum(apiTokenKinds).default('personal'),
        scopes: z.array(z.string().max(100)).min(1).max(100).optional(),
        cidrs: z.array(z.string().max(60)).min(1).max(50).optional(),
      }),
    ),
  },
  responses: { 201: jsonResponse(NewApiToken, 'The token') },
})

const listTokensRoute = defineRoute({
  method: 'get',
  path,
  operationId: 'listApiTokens',
  summary: 'API tokens of the organization, without their secrets',
  access: { kind: 'organization', scope: 'tokens:read' },
  request: { params, query: PageQuery },
  responses: { 200: jsonResponse(z.array(ApiToken), 'Tokens') },
})

const rotateTokenRoute = defineRoute({
  method: 'post',
  path: `${path}/{tokenId}/rotations`,
  operationId: 'rotateApiToken',
  summary: 'Replace a token; the old one works on for the overlap',
  access: { kind: 'organization', scope: 'tokens:write' },
  request: {
    params: tokenParams,
    body: jsonBody(z.object({ overlapHours: z.number().int().min(0).max(24).default(24) })),
  },
  responses: { 201: jsonResponse(NewApiToken, 'The new token') },
})

const revokeTokenRoute = defineRoute({
  method: 'delete',
  path: `${path}/{tokenId}`,
  operationId: 'revokeApiToken',
  summary: 'Revoke an API token',
  // Containment never waits for a second factor.
  access: { kind: 'organization', scope: 'tokens:write', stepUp: 'never' },
  request: { params: tokenParams },
  responses: { 204: { description: 'Revoked' } },
})

export function registerTokenRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(createTokenRoute, async (c) => {
    const created = await createApiToken(c.get('ctx'), c.req.valid('json'))
    return c.json({ ...present(created), token: created.token }, 201)
  })
  app.openapi(listTokensRoute, async (c) => {
    const { db, orgId } = c.get('ctx')
    const { limit = 50, offset = 0 } = c.req.valid('query')
    const rows = await withOrg(db, orgId, (tx) =>
      tx.select().from(apiTokens).orderBy(desc(apiTokens.id)).limit(limit).offset(offset),
    )
    return c.json(rows.map(present), 200)
  })
  app.openapi(rotateTokenRoute, async (c) => {
    const { tokenId } = c.req.valid('param')
    const rotated = await rotateApiToken(c.get('ctx'), { tokenId, ...c.req.valid('json') })
    return c.json({ ...present(rotated), token: rotated.token }, 201)
  })
  app.openapi(revokeTokenRoute, async (c) => {
    await revokeApiToken(c.get('ctx'), c.req.valid('param').tokenId)
    return c.body(null, 204)
  })
}

function present(row: typeof apiTokens.$inferSelect): z.infer<typeof ApiToken> {
  const { id, userId, name, kind, scopes, cidrs, lastFour, replacesId } = row
  return {
    id,
    userId,
    name,
    kind,
    scopes,
    cidrs,
    lastFour,
    replacesId,
    expiresAt: row.expiresAt.toISOString(),
    lastUsedAt: row.lastUsedAt?.toISOString() ?? null,
    revokedAt: row.revokedAt?.toISOString() ?? null,
    createdAt: row.createdAt.toISOString(),
  }
}
