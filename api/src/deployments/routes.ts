import { z, type OpenAPIHono } from '@hono/zod-openapi'
import type { Env } from '../auth/access.js'
import { plainText } from '../channels/plain-text.js'
import { defineRoute, Id, jsonBody, jsonResponse, PageQuery, Relations } from '../define-route.js'
import { Problem } from '../problems.js'
import { createDeployment } from './create-deployment.js'
import { getDeployment, listDeployments } from './list-deployments.js'
import { Deployment, presentDeployment } from './present-deployment.js'
import { updateDeployment } from './update-deployment.js'

const AppPath = z.object({ appId: Id })
const DeploymentPath = z.object({ appId: Id, deploymentId: Id })
const Share = z.number().min(0).max(1)

const CreateBody = z.object({
  appBuildId: Id,
  appChannelName: plainText(200).min(1).optional(),
  appChannelId: Id.optional(),
  appDestinationName: z.string().optional(),
  appDestinationId: z.string().optional(),
  rolloutPercentage: Share.default(1),
})

const createRoute = defineRoute({
  method: 'post',
  path: '/v1/apps/{appId}/deployments',
  operationId: 'createDeployment',
  summary: 'Deploy a live-update bundle to a channel',
  access: { kind: 'app', scope: 'deployments:write', perChannel: true },
  request: { params: AppPath, body: jsonBody(CreateBody) },
  responses: { 201: jsonResponse(Deployment, 'The deployment') },
})

const listRoute = defineRoute({
  method: 'get',
  path: '/v1/apps/{appId}/deployments',
  operationId: 'listDeployments',
  summary: 'Deployments, newest first',
  access: { kind: 'app', scope: 'deployments:read', perChannel: true },
  request: {
    params: AppPath,
    query: PageQuery.extend({ appBuildId: Id.optional(), appChannelId: Id.optional(), relations: Relations }),
  },
  responses: { 200: jsonResponse(z.array(Deployment), 'Deployments') },
})

const getRoute = defineRoute({
  method: 'get',
  path: '/v1/apps/{appId}/deployments/{deploymentId}',
  operationId: 'getDeployment',
  summary: 'One deployment',
  access: { kind: 'app', scope: 'deployments:read', perChannel: true },
  request: { params: DeploymentPath, query: z.object({ relations: Relations }) },
  responses: { 200: jsonResponse(Deployment, 'The deployment') },
})

const updateRoute = defineRoute({
  method: 'patch',
  path: '/v1/apps/{appId}/deployments/{deploymentId}',
  operationId: 'updateDeployment',
  summary: 'Change the share of devices that get it',
  access: { kind: 'app', scope: 'deployments:write', perChannel: true },
  request: { params: DeploymentPath, body: jsonBody(z.object({ rolloutPercentage: Share.optional() })) },
  responses: { 200: jsonResponse(Deployment, 'The deployment') },
})

export function registerDeploymentRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(createRoute, async (c) => {
    const body = c.req.valid('json')
    const { deployment, channelName } = await createDeployment(c.get('ctx'), {
      appId: c.req.valid('param').appId,
      appBuildId: body.appBuildId,
      channel: channelOf(body),
      rolloutPercentage: body.rolloutPercentage,
    })
    return c.json(presentDeployment(deployment, { appChannelName: channelName }), 201)
  })
  app.openapi(listRoute, async (c) => {
    const { relations, limit = 50, offset = 0, ...filters } = c.req.valid('query')
    const rows = await listDeployments(c.get('ctx'), { ...filters, ...c.req.valid('param'), limit, offset })
    return c.json(
      rows.map((row) => present(row, relations)),
      200,
    )
  })
  app.openapi(getRoute, async (c) => {
    const row = await getDeployment(c.get('ctx'), c.req.valid('param'))
    return c.json(present(row, c.req.valid('query').relations), 200)
  })
  app.openapi(updateRoute, async (c) => {
    const updated = await updateDeployment(c.get('ctx'), { ...c.req.valid('json'), ...c.req.valid('param') })
    return c.json(presentDeployment(updated), 200)
  })
}

function present(row: Awaited<ReturnType<typeof getDeployment>>, relations: ReadonlySet<string>) {
  return presentDeployment(row.deployment, {
    appChannelName: row.channelName,
    ...(relations.has('appBuild') ? { appBuild: row.build } : {}),
    withJob: relations.has('job') || relations.has('job.jobLogs'),
  })
}

function channelOf(body: z.infer<typeof CreateBody>): { id: string } | { name: string } {
  if (body.appDestinationName || body.appDestinationId) {
    throw new Problem(
      'request-invalid',
      'appDestinationName: publishing to a store is not available. Name a channel with appChannelName.',
    )
  }
  if (body.appChannelId) return { id: body.appChannelId }
  if (body.appChannelName) return { name: body.appChannelName }
  throw new Problem('request-invalid', 'appChannelName: say which channel the build goes to.')
}
