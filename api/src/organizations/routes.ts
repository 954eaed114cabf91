import { organizations, withOrg } from '@capstan/migrations'
import { z, type OpenAPIHono } from '@hono/zod-openapi'
import { eq } from 'drizzle-orm'
import { contextFor, type Env } from '../auth/access.js'
import { onlyOrgOf } from '../auth/authenticate.js'
import { requireScope } from '../context.js'
import { defineRoute, Id, jsonBody, jsonResponse, PageQuery, Timestamp } from '../define-route.js'
import { Problem } from '../problems.js'
import { createOrganization } from './create-organization.js'
import { type Listed, listOrganizations } from './list-organizations.js'
import { terminateOrganization } from './terminate-organization.js'
import { updateOrganization } from './update-organization.js'

const Organization = z
  .object({
    id: Id,
    name: z.string(),
    slug: z.string().nullable(),
    logo: z.string().nullable(),
    countryAllowlist: z.array(z.string()).nullable(),
    ipAllowlist: z.array(z.string()).nullable(),
    twoFactorRequired: z.boolean(),
    /** Whether changes of credentials, public keys and tokens need a second factor of the last five minutes. */
    stepUpRequired: z.boolean(),
    artifactRetentionDays: z.number().int().nullable(),
    /** Whether keys that sign web builds may be stored. */
    webCertificatesAllowed: z.boolean(),
    createdAt: Timestamp,
    updatedAt: Timestamp,
  })
  .openapi('Organization')

/** Without what the organization demands and allows, for who may do something in an app of it and nothing more. */
const ListedOrganization = Organization.partial({
  countryAllowlist: true,
  ipAllowlist: true,
  twoFactorRequired: true,
  stepUpRequired: true,
  artifactRetentionDays: true,
  webCertificatesAllowed: true,
}).openapi('ListedOrganization')

const createOrganizationRoute = defineRoute({
  method: 'post',
  path: '/v1/organizations',
  operationId: 'createOrganization',
  summary: 'Create an organization and become its owner',
  access: { kind: 'principal' },
  request: { body: jsonBody(z.object({ name: z.string().trim().min(1).max(200) })) },
  responses: { 201: jsonResponse(Organization, 'The organization') },
})

const listRoute = defineRoute({
  method: 'get',
  path: '/v1/organizations',
  operationId: 'listOrganizations',
  summary: 'Organizations in which the signed-in person may do something',
  access: { kind: 'principal' },
  request: { query: PageQuery },
  responses: { 200: jsonResponse(z.array(ListedOrganization), 'Organizations') },
})

const getRoute = defineRoute({
  method: 'get',
  path: '/v1/organizations/{organizationId}',
  operationId: 'getOrganization',
  summary: 'One organization',
  access: { kind: 'organization', scope: 'organizations:read' },
  request: { params: z.object({ organizationId: Id }) },
  responses: { 200: jsonResponse(Organization, 'The organization') },
})

const updateRoute = defineRoute({
  method: 'patch',
  path: '/v1/organizations/{organizationId}',
  operationId: 'updateOrganization',
  summary: 'Rename an organization, or change what it allows and demands',
  access: { kind: 'organization', scope: 'organizations:write' },
  request: {
    params: z.object({ organizationId: Id }),
    body: jsonBody(
      z.object({
        name: z.string().trim().min(1).max(200).optional(),
        webCertificatesAllowed: z.boolean().optional(),
        twoFactorRequired: z.boolean().optional(),
        stepUpRequired: z.boolean().optional(),
        artifactRetentionDays: z.number().int().min(1).max(3650).nullable().optional(),
        ipAllowlist: z.array(z.string().max(60)).min(1).max(200).nullable().optional(),
        countryAllowlist: z
          .array(z.string().regex(/^[A-Za-z]{2}$/, 'ISO 3166-1 codes of two letters, like "AT"'))
          .min(1)
          .max(300)
          .nullable()
          .optional(),
      }),
    ),
  },
  responses: { 200: jsonResponse(Organization, 'The organization') },
})

const terminateRoute = defineRoute({
  method: 'delete',
  path: '/v1/organizations/{organizationId}',
  operationId: 'terminateOrganization',
  summary: 'End an organization: destroy its keys now, and then everything it stored',
  description:
    'The answer names the signed deletion certificate, which anybody with its id may read at /v1/deletion-certificates: keep it, nobody can sign in to the organization any more.',
  access: { kind: 'organization', scope: 'organizations:terminate' },
  request: {
    params: z.object({ organizationId: Id }),
    body: jsonBody(z.object({ name: z.string().max(200) })),
  },
  responses: {
    202: jsonResponse(
      z
        .object({
          organizationId: Id,
          state: z.literal('terminating'),
          deletionCertificateId: Id,
          deletionCertificateUrl: z.string(),
          keysDestroyedAt: Timestamp,
          keyBackupsUntil: Timestamp,
        })
        .openapi('Termination'),
      'Its keys are destroyed and nobody belongs to it; what it stored is being erased',
    ),
  },
})

export function registerOrganizationRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(createOrganizationRoute, async (c) => {
    const principal = c.get('principal')
    // Who is bound to one organization; through it a second one could not even be read.
    if (onlyOrgOf(principal) !== null) {
      throw new Problem(
        'permission-missing',
        'This sign-in counts in one organization only. Sign in with a password or passkey.',
      )
    }
    const { name } = c.req.valid('json')
    const created = { name, ownerId: principal.userId, requestId: c.get('requestId') }
    return c.json(present(await createOrganization(c.get('deps'), created)), 201)
  })
  app.openapi(listRoute, async (c) => {
    const { limit = 50, offset = 0 } = c.req.valid('query')
    const principal = c.get('principal')
    if (principal.kind === 'token') requireScope(await contextFor(c, principal, principal.orgId), 'organizations:read')
    const rows = await listOrganizations(c.get('deps'), principal, { limit, offset })
    return c.json(rows.map(presentListed), 200)
  })
  app.openapi(getRoute, async (c) => {
    const { db, orgId } = c.get('ctx')
    const [row] = await withOrg(db, orgId, (tx) => tx.select().from(organizations).where(eq(organizations.id, orgId)))
    if (!row) throw new Problem('not-found')
    return c.json(present(row), 200)
  })
  app.openapi(updateRoute, async (c) => {
    return c.json(present(await updateOrganization(c.get('ctx'), c.req.valid('json'), c.get('address'))), 200)
  })
  app.openapi(terminateRoute, async (c) => {
    const ctx = c.get('ctx')
    const { certificateId, destroyedAt, backupsUntil } = await terminateOrganization(ctx, c.req.valid('json'))
    const answer = {
      organizationId: ctx.orgId,
      state: 'terminating' as const,
      deletionCertificateId: certificateId,
      deletionCertificateUrl: new URL(`/v1/deletion-certificates/${certificateId}`, ctx.publicUrl).href,
      keysDestroyedAt: destroyedAt,
      keyBackupsUntil: backupsUntil,
    }
    return c.json(answer, 202)
  })
}

function presentListed({ organization, readable }: Listed): z.infer<typeof ListedOrganization> {
  const { id, name, slug, logo, createdAt, updatedAt, ...rest } = present(organization)
  return { id, name, slug, logo, createdAt, updatedAt, ...(readable ? rest : {}) }
}

function present(row: typeof organizations.$inferSelect): z.infer<typeof Organization> {
  return {
    id: row.id,
    name: row.name,
    slug: null,
    logo: null,
    countryAllowlist: row.countryAllowlist,
    ipAllowlist: row.ipAllowlist,
    twoFactorRequired: row.twoFactorRequired,
    stepUpRequired: row.stepUpRequired,
    artifactRetentionDays: row.artifactRetentionDays,
    webCertificatesAllowed: row.webCertificatesAllowed,
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
  }
}
