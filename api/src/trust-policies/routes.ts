import { trustPolicies, withOrg } from '@capstan/migrations'
import { z, type OpenAPIHono } from '@hono/zod-openapi'
import { desc } from 'drizzle-orm'
import type { Env } from '../auth/access.js'
import { defineRoute, Id, jsonBody, jsonResponse, PageQuery, Timestamp } from '../define-route.js'
import { createTrustPolicy } from './create-trust-policy.js'
import { deleteTrustPolicy } from './delete-trust-policy.js'

const TrustPolicy = z
  .object({
    id: Id,
    /** The person who answers for the tokens that come of it. */
    createdBy: Id,
    name: z.string(),
    issuer: z.string(),
    audience: z.string(),
    claims: z.record(z.string(), z.array(z.string())),
    scopes: z.array(z.string()),
    cidrs: z.array(z.string()).nullable(),
    tokenMinutes: z.number(),
    lastUsedAt: Timestamp.nullable(),
    createdAt: Timestamp,
  })
  .openapi('TrustPolicy')

const path = '/v1/organizations/{organizationId}/trust-policies'
const params = z.object({ organizationId: Id })
const ClaimValue = z.string().min(1).max(500)

const createPolicyRoute = defineRoute({
  method: 'post',
  path,
  operationId: 'createTrustPolicy',
  summary: 'Let jobs of a CI service exchange their OpenID Connect tokens for tokens of this organization',
  access: { kind: 'organization', scope: 'tokens:write' },
  request: {
    params,
    body: jsonBody(
      z.object({
        name: z.string().trim().min(1).max(200),
        issuer: z.string().max(500),
        audience: z.string().min(1).max(500).optional(),
        claims: z
          .record(z.string(), z.union([ClaimValue, z.array(ClaimValue).min(1).max(50)]))
          .refine((claims) => Object.keys(claims).length <= 20, 'at most 20 claims'),
        scopes: z.array(z.string().max(100)).min(1).max(100),
        cidrs: z.array(z.string().max(60)).min(1).max(50).optional(),
        tokenMinutes: z.number().int().min(1).max(15).default(15),
      }),
    ),
  },
  responses: { 201: jsonResponse(TrustPolicy, 'The policy') },
})

const listPoliciesRoute = defineRoute({
  method: 'get',
  path,
  operationId: 'listTrustPolicies',
  summary: 'Trust policies of the organization, newest first',
  access: { kind: 'organization', scope: 'tokens:read' },
  request: { params, query: PageQuery },
  responses: { 200: jsonResponse(z.array(TrustPolicy), 'Policies') },
})

const deletePolicyRoute = defineRoute({
  method: 'delete',
  path: `${path}/{trustPolicyId}`,
  operationId: 'deleteTrustPolicy',
  summary: 'End a trust policy and the tokens that came of it',
  // Containment never waits for a second factor.
  access: { kind: 'organization', scope: 'tokens:write', stepUp: 'never' },
  request: { params: params.extend({ trustPolicyId: Id }) },
  responses: { 204: { description: 'Ended' } },
})

export function registerTrustPolicyRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(createPolicyRoute, async (c) =>
    c.json(present(await createTrustPolicy(c.get('ctx'), c.req.valid('json'))), 201),
  )
  app.openapi(listPoliciesRoute, async (c) => {
    const { db, orgId } = c.get('ctx')
    const { limit = 50, offset = 0 } = c.req.valid('query')
    const rows = await withOrg(db, orgId, (tx) =>
      tx.select().from(trustPolicies).orderBy(desc(trustPolicies.id)).limit(limit).offset(offset),
    )
    return c.json(rows.map(present), 200)
  })
  app.openapi(deletePolicyRoute, async (c) => {
    await deleteTrustPolicy(c.get('ctx'), c.req.valid('param').trustPolicyId)
    return c.body(null, 204)
  })
}

function present(row: typeof trustPolicies.$inferSelect): z.infer<typeof TrustPolicy> {
  const { id, createdBy, name, issuer, audience, claims, scopes, cidrs, tokenSeconds } = row
  return {
    id,
    createdBy,
    name,
    issuer,
    audience,
    claims,
    scopes,
    cidrs,
    tokenMinutes: tokenSeconds / 60,
    lastUsedAt: row.lastUsedAt?.toISOString() ?? null,
    createdAt: row.createdAt.toISOString(),
  }
}
