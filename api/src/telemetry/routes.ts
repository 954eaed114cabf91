import { launchOutcomes } from '@capstan/migrations'
import { z, type OpenAPIHono } from '@hono/zod-openapi'
import { allowOtherOrigins } from '../allow-other-origins.js'
import type { Env } from '../auth/access.js'
import { plainText } from '../channels/plain-text.js'
import { defineRoute, Id, jsonBody, jsonResponse } from '../define-route.js'
import { issueDeviceToken } from './issue-device-token.js'
import { recordLaunches } from './record-launches.js'

const MAX_RESULTS = 32
const AppPath = z.object({ appId: Id })

const tokenRoute = defineRoute({
  method: 'post',
  path: '/v1/apps/{appId}/device-tokens',
  operationId: 'issueDeviceToken',
  summary: 'Bind a device to a token, once, with which it reports how bundles start',
  access: { kind: 'device' },
  request: { params: AppPath, body: jsonBody(z.object({ deviceId: plainText(128).min(1) })) },
  responses: { 201: jsonResponse(z.object({ token: z.string() }), 'The token, shown once') },
})

const LaunchReport = z.object({
  bundleId: Id,
  deploymentId: Id.optional().openapi({ description: 'From the channel statement, where there is one.' }),
  outcome: z.enum(launchOutcomes),
})

const reportRoute = defineRoute({
  method: 'post',
  path: '/v1/apps/{appId}/telemetry',
  operationId: 'recordLaunches',
  summary: 'Report how bundles started on this device; each counts once',
  access: { kind: 'device-token' },
  request: {
    params: AppPath,
    body: jsonBody(z.object({ results: z.array(LaunchReport).min(1).max(MAX_RESULTS) })),
  },
  responses: { 202: jsonResponse(z.object({ counted: z.number().int() }), 'How many were new') },
})

export function registerTelemetryRoutes(app: OpenAPIHono<Env>): void {
  allowOtherOrigins(app, [tokenRoute])
  allowOtherOrigins(app, [reportRoute], { deviceToken: true })
  app.openapi(tokenRoute, async (c) => {
    const token = await issueDeviceToken(c.get('ctx'), { ...c.req.valid('json'), ...c.req.valid('param') })
    c.header('cache-control', 'no-store')
    return c.json({ token }, 201)
  })
  app.openapi(reportRoute, async (c) => {
    const counted = await recordLaunches(c.get('ctx'), { ...c.req.valid('json'), ...c.req.valid('param') })
    return c.json(counted, 202)
  })
}
