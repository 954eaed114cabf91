import { z, type OpenAPIHono } from '@hono/zod-openapi'
import type { Context as HonoContext } from 'hono'
import { contextFor, type Env } from '../auth/access.js'
import type { Context } from '../context.js'
import { defineRoute, Id, jsonBody, jsonResponse, PageQuery } from '../define-route.js'
import { Problem } from '../problems.js'
import { createApp } from './create-app.js'
import { deleteApp } from './delete-app.js'
import { getApp } from './get-app.js'
import { listApps } from './list-apps.js'
import { App, appTypes, BundleId, presentApp } from './present-app.js'
import { updateApp } from './update-app.js'

const Name = z.string().trim().min(1).max(200)
/** A name, or `*.` for any name below; addresses are never allowed by name. */
const EgressHost = z
  .string()
  .toLowerCase()
  .regex(/^(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$/, 'is not the name of a host')
const OrganizationQuery = z.object({ organizationId: Id.optional() })

const createAppRoute = defineRoute({
  method: 'post',
  path: '/v1/apps',
  operationId: 'createApp',
  summary: 'Create an app',
  access: { kind: 'principal' },
  request: {
    query: OrganizationQuery,
    body: jsonBody(z.object({ name: Name, type: z.enum(appTypes).default('capacitor') })),
  },
  responses: { 201: jsonResponse(App, 'The app') },
})

const listAppsRoute = defineRoute({
  method: 'get',
  path: '/v1/apps',
  operationId: 'listApps',
  summary: 'Apps of an organization, newest first',
  access: { kind: 'principal' },
  request: {
    query: OrganizationQuery.extend(PageQuery.shape).extend({
      name: z.string().optional(),
      query: z.string().max(200).optional(),
    }),
  },
  responses: { 200: jsonResponse(z.array(App), 'Apps') },
})

const getAppRoute = defineRoute({
  method: 'get',
  path: '/v1/apps/{appId}',
  operationId: 'getApp',
  summary: 'One app',
  access: { kind: 'app', scope: 'apps:read' },
  request: { params: z.object({ appId: Id }) },
  responses: { 200: jsonResponse(App, 'The app') },
})

const updateAppRoute = defineRoute({
  method: 'patch',
  path: '/v1/apps/{appId}',
  operationId: 'updateApp',
  summary: 'Change an app',
  access: { kind: 'app', scope: 'apps:write' },
  request: {
    params: z.object({ appId: Id }),
    body: jsonBody(
      z.object({
        name: Name.optional(),
        type: z.enum(appTypes).optional(),
        appChannelId: Id.nullable().optional(),
        appChannelDiscoveryEnabled: z.boolean().optional(),
        staticDeliveryEnabled: z.boolean().optional(),
        appEnvironmentId: Id.nullable().optional(),
        egressHosts: z.array(EgressHost).max(100).optional(),
        nextAppBuildNumber: z.number().int().min(1).max(2_000_000_000).optional(),
        iosBundleId: BundleId.nullable().optional(),
        releaseCacheEnabled: z.boolean().optional(),
      }),
    ),
  },
  responses: { 200: jsonResponse(App, 'The app') },
})

const deleteAppRoute = defineRoute({
  method: 'delete',
  path: '/v1/apps/{appId}',
  operationId: 'deleteApp',
  summary: 'Delete an app with everything that belongs to it',
  access: { kind: 'app', scope: 'apps:write' },
  request: { params: z.object({ appId: Id }) },
  responses: { 204: { description: 'Deleted' } },
})

export function registerAppRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(createAppRoute, async (c) => {
    const ctx = await contextOfQuery(c, c.req.valid('query').organizationId)
    return c.json(presentApp(await createApp(ctx, c.req.valid('json'))), 201)
  })
  app.openapi(listAppsRoute, async (c) => {
    const { organizationId, name, query, limit = 50, offset = 0 } = c.req.valid('query')
    const ctx = await contextOfQuery(c, organizationId)
    return c.json((await listApps(ctx, { name, query, limit, offset })).map(presentApp), 200)
  })
  app.openapi(getAppRoute, async (c) => c.json(presentApp(await getApp(c.get('ctx'), c.req.valid('param').appId)), 200))
  app.openapi(updateAppRoute, async (c) => {
    const updated = await updateApp(c.get('ctx'), { ...c.req.valid('json'), appId: c.req.valid('param').appId })
    return c.json(presentApp(updated), 200)
  })
  app.openapi(deleteAppRoute, async (c) => {
    await deleteApp(c.get('ctx'), c.req.valid('param').appId)
    return c.body(null, 204)
  })
}

/** Here the organization stands in the query; an API token knows its own. */
async function contextOfQuery(c: HonoContext<Env>, organizationId: string | undefined): Promise<Context> {
  const principal = c.get('principal')
  const orgId = organizationId ?? (principal.kind === 'token' ? principal.orgId : undefined)
  if (!orgId) throw new Problem('organization-needed', 'Add ?organizationId= to say which organization you mean.')
  return contextFor(c, principal, orgId)
}
