import { identityProviders, joinRoles, withOrg } from '@capstan/migrations'
import { z, type OpenAPIHono } from '@hono/zod-openapi'
import { desc } from 'drizzle-orm'
import type { Env } from '../auth/access.js'
import { defineRoute, Id, jsonBody, jsonResponse, Timestamp } from '../define-route.js'
import { createIdentityProvider } from './create-identity-provider.js'
import { deleteIdentityProvider } from './delete-identity-provider.js'

const IdentityProvider = z
  .object({
    id: Id,
    name: z.string(),
    issuer: z.string(),
    clientId: z.string(),
    /** Whether it has a client secret, which is never shown. */
    confidential: z.boolean(),
    joinRole: z.enum(joinRoles).nullable(),
    /** What people of the organization open to sign in. */
    signInUrl: z.string(),
    /** What the provider must allow answers to go to. */
    redirectUri: z.string(),
    createdAt: Timestamp,
  })
  .openapi('IdentityProvider')

const path = '/v1/organizations/{organizationId}/identity-providers'
const params = z.object({ organizationId: Id })

const createProviderRoute = defineRoute({
  method: 'post',
  path,
  operationId: 'createIdentityProvider',
  summary: 'Let people of the organization sign in through an OpenID Connect provider',
  access: { kind: 'organization', scope: 'policies:write' },
  request: {
    params,
    body: jsonBody(
      z.object({
        name: z.string().trim().min(1).max(100),
        issuer: z.string().max(500),
        clientId: z.string().min(1).max(500),
        clientSecret: z.string().min(1).max(1000).optional(),
        joinRole: z.enum(joinRoles).nullable().default(null),
      }),
    ),
  },
  responses: { 201: jsonResponse(IdentityProvider, 'The provider') },
})

const listProvidersRoute = defineRoute({
  method: 'get',
  path,
  operationId: 'listIdentityProviders',
  summary: 'Identity providers of the organization, newest first',
  access: { kind: 'organization', scope: 'members:read' },
  request: { params },
  responses: { 200: jsonResponse(z.array(IdentityProvider), 'Providers') },
})

const deleteProviderRoute = defineRoute({
  method: 'delete',
  path: `${path}/{identityProviderId}`,
  operationId: 'deleteIdentityProvider',
  summary: 'End an identity provider',
  // Containment never waits for a second factor.
  access: { kind: 'organization', scope: 'policies:write', stepUp: 'never' },
  request: { params: params.extend({ identityProviderId: Id }) },
  responses: { 204: { description: 'Ended' } },
})

export function registerIdentityProviderRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(createProviderRoute, async (c) => {
    const ctx = c.get('ctx')
    return c.json(present(await createIdentityProvider(ctx, c.req.valid('json')), ctx.publicUrl), 201)
  })
  app.openapi(listProvidersRoute, async (c) => {
    const { db, orgId, publicUrl } = c.get('ctx')
    const rows = await withOrg(db, orgId, (tx) =>
      tx.select().from(identityProviders).orderBy(desc(identityProviders.id)),
    )
    return c.json(
      rows.map((row) => present(row, publicUrl)),
      200,
    )
  })
  app.openapi(deleteProviderRoute, async (c) => {
    await deleteIdentityProvider(c.get('ctx'), c.req.valid('param').identityProviderId)
    return c.body(null, 204)
  })
}

function present(row: typeof identityProviders.$inferSelect, publicUrl: string): z.infer<typeof IdentityProvider> {
  const { id, name, issuer, clientId, joinRole } = row
  return {
    id,
    name,
    issuer,
    clientId,
    confidential: row.sealedSecret !== null,
    joinRole,
    signInUrl: `${publicUrl}/login/provider/${id}`,
    redirectUri: `${publicUrl}/login/callback`,
    createdAt: row.createdAt.toISOString(),
  }
}
