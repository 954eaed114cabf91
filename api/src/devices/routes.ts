import { z, type OpenAPIHono } from '@hono/zod-openapi'
import type { Env } from '../auth/access.js'
import { plainText } from '../channels/plain-text.js'
import { defineRoute, Id, jsonBody, jsonResponse, PageQuery, Relations } from '../define-route.js'
import { deleteDevice } from './delete-device.js'
import { forceChannel } from './force-channel.js'
import { getDevice, listDevices } from './list-devices.js'
import { Device, presentDevice } from './present-device.js'

const DeviceId = plainText(128).min(1)
const AppPath = z.object({ appId: Id })
const DevicePath = z.object({ appId: Id, deviceId: DeviceId })
const ForceBody = z.object({ forcedAppChannelId: Id.nullable() })
const DeviceIds = z
  .string()
  .transform((text) => text.split(',').filter(Boolean))
  .pipe(z.array(DeviceId).min(1, 'name at least one device').max(100, 'at most 100 devices at once'))

const listRoute = defineRoute({
  method: 'get',
  path: '/v1/apps/{appId}/devices',
  operationId: 'listDevices',
  summary: 'Devices of an app, last seen first',
  access: { kind: 'app', scope: 'devices:read' },
  request: {
    params: AppPath,
    query: PageQuery.extend({ id: DeviceId.optional(), query: plainText(200).optional(), relations: Relations }),
  },
  responses: { 200: jsonResponse(z.array(Device), 'Devices') },
})

const getRoute = defineRoute({
  method: 'get',
  path: '/v1/apps/{appId}/devices/{deviceId}',
  operationId: 'getDevice',
  summary: 'One device',
  access: { kind: 'app', scope: 'devices:read' },
  request: { params: DevicePath, query: z.object({ relations: Relations }) },
  responses: { 200: jsonResponse(Device, 'The device') },
})

const forceManyRoute = defineRoute({
  method: 'patch',
  path: '/v1/apps/{appId}/devices',
  operationId: 'forceChannel',
  summary: 'Tie devices to a channel, or free them',
  access: { kind: 'app', scope: 'devices:write' },
  request: { params: AppPath, query: z.object({ ids: DeviceIds }), body: jsonBody(ForceBody) },
  responses: { 200: jsonResponse(z.array(Device), 'The devices') },
})

const forceOneRoute = defineRoute({
  method: 'patch',
  path: '/v1/apps/{appId}/devices/{deviceId}',
  operationId: 'forceChannelOfDevice',
  summary: 'Tie one device to a channel, or free it',
  access: { kind: 'app', scope: 'devices:write' },
  request: { params: DevicePath, body: jsonBody(ForceBody) },
  responses: { 200: jsonResponse(Device, 'The device') },
})

const deleteRoute = defineRoute({
  method: 'delete',
  path: '/v1/apps/{appId}/devices/{deviceId}',
  operationId: 'deleteDevice',
  summary: 'Forget a device',
  access: { kind: 'app', scope: 'devices:write' },
  request: { params: DevicePath },
  responses: { 204: { description: 'Forgotten' } },
})

export function registerDeviceRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(listRoute, async (c) => {
    const { limit = 50, offset = 0, relations, ...filters } = c.req.valid('query')
    const rows = await listDevices(c.get('ctx'), { ...filters, ...c.req.valid('param'), limit, offset })
    const withChannel = relations.has('appChannel')
    return c.json(
      rows.map((row) => presentDevice(row.device, withChannel ? row.channel : undefined)),
      200,
    )
  })
  app.openapi(getRoute, async (c) => {
    const row = await getDevice(c.get('ctx'), c.req.valid('param'))
    const withChannel = c.req.valid('query').relations.has('appChannel')
    return c.json(presentDevice(row.device, withChannel ? row.channel : undefined), 200)
  })
  app.openapi(forceManyRoute, async (c) => {
    const deviceIds = c.req.valid('query').ids
    const changed = await forceChannel(c.get('ctx'), { ...c.req.valid('json'), ...c.req.valid('param'), deviceIds })
    return c.json(
      changed.map((device) => presentDevice(device)),
      200,
    )
  })
  app.openapi(forceOneRoute, async (c) => {
    const { appId, deviceId } = c.req.valid('param')
    const [changed] = await forceChannel(c.get('ctx'), { ...c.req.valid('json'), appId, deviceIds: [deviceId] })
    if (!changed) throw new Error('The device was changed and is not there.')
    return c.json(presentDevice(changed), 200)
  })
  app.openapi(deleteRoute, async (c) => {
    await deleteDevice(c.get('ctx'), c.req.valid('param'))
    return c.body(null, 204)
  })
}
