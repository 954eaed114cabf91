import { z, type OpenAPIHono } from '@hono/zod-openapi'
import type { Env } from '../auth/access.js'
import { storableText, VariableName } from '../builds/build-variables.js'
import { defineRoute, Id, jsonBody, jsonResponse, PageQuery, Relations } from '../define-route.js'
import { createEnvironment } from './create-environment.js'
import { deleteEnvironment } from './delete-environment.js'
import { getEnvironment } from './get-environment.js'
import { listEnvironments } from './list-environments.js'
import { Environment, presentEnvironment } from './present-environment.js'
import { MAX_SECRET_BYTES, setSecrets } from './set-secrets.js'
import { setVariables } from './set-variables.js'
import { unsetSecrets } from './unset-secrets.js'
import { unsetVariables } from './unset-variables.js'
import { updateEnvironment } from './update-environment.js'

const Name = storableText(200).trim().min(1)
const AppPath = z.object({ appId: Id })
const EnvironmentPath = z.object({ appId: Id, environmentId: Id })
const Keys = z.array(VariableName).max(500)
const Variables = z.array(z.object({ key: VariableName, value: storableText(64 * 1024) })).max(500)
const SecretText = storableText(MAX_SECRET_BYTES).min(1)
const Secrets = z.array(z.object({ key: VariableName, value: SecretText })).max(500)
const stored = { 204: { description: 'Stored' } } as const

const createRoute = defineRoute({
  method: 'post',
  path: '/v1/apps/{appId}/environments',
  operationId: 'createEnvironment',
  summary: 'Create an environment: variables and secrets that builds are given',
  access: { kind: 'app', scope: 'environments:write' },
  request: { params: AppPath, body: jsonBody(z.object({ name: Name })) },
  responses: { 201: jsonResponse(Environment, 'The environment') },
})

const listRoute = defineRoute({
  method: 'get',
  path: '/v1/apps/{appId}/environments',
  operationId: 'listEnvironments',
  summary: 'Environments of an app, newest first',
  access: { kind: 'app', scope: 'environments:read' },
  request: { params: AppPath, query: PageQuery.extend({ name: storableText(200).optional(), relations: Relations }) },
  responses: { 200: jsonResponse(z.array(Environment), 'Environments') },
})

const getRoute = defineRoute({
  method: 'get',
  path: '/v1/apps/{appId}/environments/{environmentId}',
  operationId: 'getEnvironment',
  summary: 'One environment; the values of secrets are never shown',
  access: { kind: 'app', scope: 'environments:read' },
  request: { params: EnvironmentPath, query: z.object({ relations: Relations }) },
  responses: { 200: jsonResponse(Environment, 'The environment') },
})

const updateRoute = defineRoute({
  method: 'patch',
  path: '/v1/apps/{appId}/environments/{environmentId}',
  operationId: 'updateEnvironment',
  summary: 'Rename an environment',
  access: { kind: 'app', scope: 'environments:write' },
  request: { params: EnvironmentPath, body: jsonBody(z.object({ name: Name.optional() })) },
  responses: { 200: jsonResponse(Environment, 'The environment') },
})

const deleteRoute = defineRoute({
  method: 'delete',
  path: '/v1/apps/{appId}/environments/{environmentId}',
  operationId: 'deleteEnvironment',
  summary: 'Delete an environment and destroy the key of its secrets',
  access: { kind: 'app', scope: 'environments:write' },
  request: { params: EnvironmentPath },
  responses: { 204: { description: 'Deleted' } },
})

const deleteByNameRoute = defineRoute({
  method: 'delete',
  path: '/v1/apps/{appId}/environments',
  operationId: 'deleteEnvironmentByName',
  summary: 'Delete the environment of this name',
  access: { kind: 'app', scope: 'environments:write' },
  request: { params: AppPath, query: z.object({ name: storableText(200).min(1) }) },
  responses: { 204: { description: 'Deleted' } },
})

const setVariablesRoute = defineRoute({
  method: 'post',
  path: '/v1/apps/{appId}/environments/{environmentId}/variables/set',
  operationId: 'setEnvironmentVariables',
  summary: 'Add or replace variables',
  access: { kind: 'app', scope: 'environments:write' },
  request: { params: EnvironmentPath, body: jsonBody(Variables) },
  responses: stored,
})

const unsetVariablesRoute = defineRoute({
  method: 'post',
  path: '/v1/apps/{appId}/environments/{environmentId}/variables/unset',
  operationId: 'unsetEnvironmentVariables',
  summary: 'Remove variables',
  access: { kind: 'app', scope: 'environments:write' },
  request: { params: EnvironmentPath, body: jsonBody(Keys) },
  responses: stored,
})

const setSecretsRoute = defineRoute({
  method: 'post',
  path: '/v1/apps/{appId}/environments/{environmentId}/secrets/set',
  operationId: 'setEnvironmentSecrets',
  summary: 'Add or replace secrets',
  access: { kind: 'app', scope: 'environments:write' },
  request: { params: EnvironmentPath, body: jsonBody(Secrets) },
  responses: stored,
})

const unsetSecretsRoute = defineRoute({
  method: 'post',
  path: '/v1/apps/{appId}/environments/{environmentId}/secrets/unset',
  operationId: 'unsetEnvironmentSecrets',
  summary: 'Remove secrets',
  access: { kind: 'app', scope: 'environments:write' },
  request: { params: EnvironmentPath, body: jsonBody(Keys) },
  responses: stored,
})

export function registerEnvironmentRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(createRoute, async (c) => {
    const environment = await createEnvironment(c.get('ctx'), { ...c.req.valid('json'), ...c.req.valid('param') })
    return c.json(presentEnvironment({ environment }), 201)
  })
  app.openapi(listRoute, async (c) => {
    const { limit = 50, offset = 0, ...query } = c.req.valid('query')
    const found = await listEnvironments(c.get('ctx'), { ...c.req.valid('param'), ...query, limit, offset })
    return c.json(found.map(presentEnvironment), 200)
  })
  app.openapi(getRoute, async (c) => {
    const loaded = await getEnvironment(c.get('ctx'), c.req.valid('param'), c.req.valid('query').relations)
    return c.json(presentEnvironment(loaded), 200)
  })
  app.openapi(updateRoute, async (c) => {
    const environment = await updateEnvironment(c.get('ctx'), { ...c.req.valid('json'), ...c.req.valid('param') })
    return c.json(presentEnvironment({ environment }), 200)
  })
  app.openapi(deleteRoute, async (c) => {
    const { appId, environmentId } = c.req.valid('param')
    await deleteEnvironment(c.get('ctx'), { appId, key: { id: environmentId } })
    return c.body(null, 204)
  })
  app.openapi(deleteByNameRoute, async (c) => {
    const { name } = c.req.valid('query')
    await deleteEnvironment(c.get('ctx'), { appId: c.req.valid('param').appId, key: { name } })
    return c.body(null, 204)
  })
  registerValueRoutes(app)
}

function registerValueRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(setVariablesRoute, async (c) => {
    await setVariables(c.get('ctx'), { ...c.req.valid('param'), variables: c.req.valid('json') })
    return c.body(null, 204)
  })
  app.openapi(unsetVariablesRoute, async (c) => {
    await unsetVariables(c.get('ctx'), { ...c.req.valid('param'), keys: c.req.valid('json') })
    return c.body(null, 204)
  })
  app.openapi(setSecretsRoute, async (c) => {
    await setSecrets(c.get('ctx'), { ...c.req.valid('param'), secrets: c.req.valid('json') })
    return c.body(null, 204)
  })
  app.openapi(unsetSecretsRoute, async (c) => {
    await unsetSecrets(c.get('ctx'), { ...c.req.valid('param'), keys: c.req.valid('json') })
    return c.body(null, 204)
  })
}
