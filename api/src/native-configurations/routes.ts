import { z, type OpenAPIHono } from '@hono/zod-openapi'
import type { Env } from '../auth/access.js'
import { storableText } from '../builds/build-variables.js'
import { defineRoute, Id, jsonBody, jsonResponse, PageQuery } from '../define-route.js'
import { createConfiguration } from './create-configuration.js'
import { deleteConfiguration } from './delete-configuration.js'
import { getConfiguration } from './get-configuration.js'
import { listConfigurations } from './list-configurations.js'
import { Configuration, presentConfiguration } from './present-configuration.js'
import { updateConfiguration } from './update-configuration.js'

const Name = storableText(200).trim().min(1)
// One line: it goes into a resource file of the project.
const DisplayName = storableText(100)
  .trim()
  .min(1)
  .regex(/^[^\p{Cc}\p{Cf}]*$/u, 'is one line of plain text')
  .nullish()
/** What Android takes as an application id and Apple as a bundle id. */
const PackageName = z
  .string()
  .max(150)
  .regex(/^[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z][A-Za-z0-9_-]*)+$/, 'is not a package name like "com.example.app"')
  .nullish()
const AppPath = z.object({ appId: Id })
const ConfigurationPath = z.object({ appId: Id, configurationId: Id })

const createRoute = defineRoute({
  method: 'post',
  path: '/v1/apps/{appId}/configurations',
  operationId: 'createConfiguration',
  summary: 'Create a native configuration: what builds call the app',
  access: { kind: 'app', scope: 'builds:write' },
  request: {
    params: AppPath,
    body: jsonBody(z.object({ name: Name, displayName: DisplayName, packageName: PackageName })),
  },
  responses: { 201: jsonResponse(Configuration, 'The configuration') },
})

const listRoute = defineRoute({
  method: 'get',
  path: '/v1/apps/{appId}/configurations',
  operationId: 'listConfigurations',
  summary: 'Native configurations of an app, newest first',
  access: { kind: 'app', scope: 'builds:read' },
  request: {
    params: AppPath,
    query: PageQuery.extend({ name: storableText(200).optional(), query: storableText(200).optional() }),
  },
  responses: { 200: jsonResponse(z.array(Configuration), 'Configurations') },
})

const getRoute = defineRoute({
  method: 'get',
  path: '/v1/apps/{appId}/configurations/{configurationId}',
  operationId: 'getConfiguration',
  summary: 'One native configuration',
  access: { kind: 'app', scope: 'builds:read' },
  request: { params: ConfigurationPath },
  responses: { 200: jsonResponse(Configuration, 'The configuration') },
})

const updateRoute = defineRoute({
  method: 'patch',
  path: '/v1/apps/{appId}/configurations/{configurationId}',
  operationId: 'updateConfiguration',
  summary: 'Change a native configuration',
  access: { kind: 'app', scope: 'builds:write' },
  request: {
    params: ConfigurationPath,
    body: jsonBody(z.object({ name: Name.optional(), displayName: DisplayName, packageName: PackageName })),
  },
  responses: { 200: jsonResponse(Configuration, 'The configuration') },
})

const deleteRoute = defineRoute({
  method: 'delete',
  path: '/v1/apps/{appId}/configurations/{configurationId}',
  operationId: 'deleteConfiguration',
  summary: 'Delete a native configuration',
  access: { kind: 'app', scope: 'builds:write' },
  request: { params: ConfigurationPath },
  responses: { 204: { description: 'Deleted' } },
})

const deleteByNameRoute = defineRoute({
  method: 'delete',
  path: '/v1/apps/{appId}/configurations',
  operationId: 'deleteConfigurationByName',
  summary: 'Delete the native configuration of this name',
  access: { kind: 'app', scope: 'builds:write' },
  request: { params: AppPath, query: z.object({ name: storableText(200).min(1) }) },
  responses: { 204: { description: 'Deleted' } },
})

export function registerConfigurationRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(createRoute, async (c) => {
    const configuration = await createConfiguration(c.get('ctx'), { ...c.req.valid('json'), ...c.req.valid('param') })
    return c.json(presentConfiguration(configuration), 201)
  })
  app.openapi(listRoute, async (c) => {
    const { limit = 50, offset = 0, ...query } = c.req.valid('query')
    const found = await listConfigurations(c.get('ctx'), { ...c.req.valid('param'), ...query, limit, offset })
    return c.json(found.map(presentConfiguration), 200)
  })
  app.openapi(getRoute, async (c) =>
    c.json(presentConfiguration(await getConfiguration(c.get('ctx'), c.req.valid('param'))), 200),
  )
  app.openapi(updateRoute, async (c) => {
    const configuration = await updateConfiguration(c.get('ctx'), { ...c.req.valid('json'), ...c.req.valid('param') })
    return c.json(presentConfiguration(configuration), 200)
  })
  app.openapi(deleteRoute, async (c) => {
    const { appId, configurationId } = c.req.valid('param')
    await deleteConfiguration(c.get('ctx'), { appId, key: { id: configurationId } })
    return c.body(null, 204)
  })
  app.openapi(deleteByNameRoute, async (c) => {
    const { name } = c.req.valid('query')
    await deleteConfiguration(c.get('ctx'), { appId: c.req.valid('param').appId, key: { name } })
    return c.body(null, 204)
  })
}
