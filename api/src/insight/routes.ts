import { z, type OpenAPIHono } from '@hono/zod-openapi'
import type { Env } from '../auth/access.js'
import { defineRoute, Id, jsonResponse, Timestamp } from '../define-route.js'
import { countLaunchesByHour } from './count-launches-by-hour.js'
import { listActivity } from './list-activity.js'
import { listCheckIns } from './list-check-ins.js'

const AppPath = z.object({ appId: Id })
const At = z.iso.datetime({ offset: true }).optional()
const Count = z.number().int()

const Activity = z
  .object({
    at: Timestamp,
    activeDevices: z.object({ day: Count, week: Count, month: Count }),
    bundles: z
      .array(z.object({ bundleId: Id.nullable(), devices: Count }))
      .openapi({ description: 'What the devices of the last day ran; null is the built-in or an unknown bundle.' }),
    versions: z.array(z.object({ platform: Count, appVersionName: z.string().nullable(), devices: Count })),
  })
  .openapi('Activity')

const Tally = { confirmed: Count, failed: Count, blocked: Count }
const Launches = z
  .object({ ...Tally, hours: z.array(z.object({ at: Timestamp, ...Tally })) })
  .openapi('Launches', { description: 'First launches on devices that report them; a device counts once.' })

const Text = z.string().nullable()
const CheckIn = z
  .object({
    cursor: z.string(),
    deviceId: z.string(),
    platform: Count,
    osVersion: Text,
    appVersionCode: Text,
    appVersionName: Text,
    pluginVersion: Text,
    customId: Text,
    appChannelId: Id.nullable(),
    appDeploymentId: Id.nullable(),
    bundleId: z.string().nullable(),
    lastSeenAt: Timestamp,
  })
  .openapi('CheckIn')

const activityRoute = defineRoute({
  method: 'get',
  path: '/v1/apps/{appId}/activity',
  operationId: 'listActivity',
  summary: 'Active devices, bundles and native versions by the hour, oldest first',
  access: { kind: 'app', scope: 'devices:read' },
  request: { params: AppPath, query: z.object({ from: At, to: At }) },
  responses: { 200: jsonResponse(z.array(Activity), 'Hours') },
})

const launchesRoute = defineRoute({
  method: 'get',
  path: '/v1/apps/{appId}/deployments/{deploymentId}/launches',
  operationId: 'countLaunches',
  summary: 'Confirmed and failed launches of a deployment, in all and by the hour',
  access: { kind: 'app', scope: 'deployments:read', perChannel: true },
  request: { params: z.object({ appId: Id, deploymentId: Id }) },
  responses: { 200: jsonResponse(Launches, 'Launches') },
})

const checkInsRoute = defineRoute({
  method: 'get',
  path: '/v1/apps/{appId}/check-ins',
  operationId: 'listCheckIns',
  summary: 'Live log: what devices asked in the last hour, a bounded sample, oldest first',
  access: { kind: 'app', scope: 'devices:read' },
  request: {
    params: AppPath,
    query: z.object({
      after: z
        .string()
        .regex(/^\d{1,20}-\d{1,20}$/, 'send the cursor of the newest entry you have')
        .optional(),
      limit: z.coerce.number().int().min(1).max(500).default(100).optional(),
    }),
  },
  responses: { 200: jsonResponse(z.array(CheckIn), 'Check-ins') },
})

export function registerInsightRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(activityRoute, async (c) => {
    const { from, to } = c.req.valid('query')
    const rows = await listActivity(c.get('ctx'), {
      ...c.req.valid('param'),
      from: from === undefined ? undefined : new Date(from),
      to: to === undefined ? undefined : new Date(to),
    })
    return c.json(rows.map(presentActivity), 200)
  })
  app.openapi(launchesRoute, async (c) => {
    const { hours, ...totals } = await countLaunchesByHour(c.get('ctx'), c.req.valid('param'))
    const byHour = hours.map(({ bucket, ...tally }) => ({ at: bucket.toISOString(), ...tally }))
    return c.json({ ...totals, hours: byHour }, 200)
  })
  app.openapi(checkInsRoute, async (c) => {
    const { after = null, limit = 100 } = c.req.valid('query')
    c.header('cache-control', 'no-store')
    return c.json(await listCheckIns(c.get('ctx'), { ...c.req.valid('param'), after, limit }), 200)
  })
}

function presentActivity(row: Awaited<ReturnType<typeof listActivity>>[number]): z.infer<typeof Activity> {
  return {
    at: row.bucket.toISOString(),
    activeDevices: { day: row.activeDay, week: row.activeWeek, month: row.activeMonth },
    bundles: row.bundles,
    versions: row.versions,
  }
}
