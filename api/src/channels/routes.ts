import { z, type OpenAPIHono } from '@hono/zod-openapi'
import { allowOtherOrigins } from '../allow-other-origins.js'
import type { Env } from '../auth/access.js'
import { defineRoute, Id, jsonBody, jsonResponse, PageQuery, Relations } from '../define-route.js'
import { readDeviceQuery } from '../updates/read-device-query.js'
import { createChannel } from './create-channel.js'
import { deleteChannel } from './delete-channel.js'
import { discoverChannels } from './discover-channels.js'
import { getChannel } from './get-channel.js'
import { listChannels } from './list-channels.js'
import { pauseChannel } from './pause-channel.js'
import { plainText } from './plain-text.js'
import { Channel, presentChannel } from './present-channel.js'
import { updateChannel } from './update-channel.js'

const Name = plainText(200).trim().min(1)
const Expiry = z.iso.datetime({ offset: true }).nullable().optional()
const AppPath = z.object({ appId: Id })
const ChannelPath = z.object({ appId: Id, channelId: Id })
// A device sends "limit" and "query" without a value when its app gave none.
const ListQuery = z.object({
  limit: z.literal('').or(PageQuery.shape.limit),
  offset: z.literal('').or(PageQuery.shape.offset),
  name: plainText(200).optional(),
  query: plainText(200).optional(),
})

const createRoute = defineRoute({
  method: 'post',
  path: '/v1/apps/{appId}/channels',
  operationId: 'createChannel',
  summary: 'Create a channel',
  access: { kind: 'app', scope: 'channels:write' },
  request: {
    params: AppPath,
    body: jsonBody(z.object({ name: Name, protected: z.boolean().optional(), expiresAt: Expiry })),
  },
  responses: { 201: jsonResponse(Channel, 'The channel') },
})

const listRoute = defineRoute({
  method: 'get',
  path: '/v1/apps/{appId}/channels',
  operationId: 'listChannels',
  summary: 'Channels of an app; without a token their ids and names, where the app allows discovery',
  access: { kind: 'app-or-device', scope: 'channels:read', perChannel: true },
  request: { params: AppPath, query: ListQuery },
  responses: {
    200: jsonResponse(z.array(z.union([Channel, Channel.pick({ id: true, name: true })])), 'Channels'),
  },
})

const getRoute = defineRoute({
  method: 'get',
  path: '/v1/apps/{appId}/channels/{channelId}',
  operationId: 'getChannel',
  summary: 'One channel',
  access: { kind: 'app', scope: 'channels:read', perChannel: true },
  request: { params: ChannelPath, query: z.object({ relations: Relations }) },
  responses: { 200: jsonResponse(Channel, 'The channel') },
})

const updateRoute = defineRoute({
  method: 'patch',
  path: '/v1/apps/{appId}/channels/{channelId}',
  operationId: 'updateChannel',
  summary: 'Change a channel',
  access: { kind: 'app', scope: 'channels:write', perChannel: true },
  request: {
    params: ChannelPath,
    body: jsonBody(z.object({ name: Name.optional(), protected: z.boolean().optional(), expiresAt: Expiry })),
  },
  responses: { 200: jsonResponse(Channel, 'The channel') },
})

const pauseRoute = defineRoute({
  method: 'post',
  path: '/v1/apps/{appId}/channels/{channelId}/pause',
  operationId: 'pauseChannel',
  summary: 'Stop answering with updates',
  access: { kind: 'app', scope: 'channels:write', perChannel: true },
  request: { params: ChannelPath },
  responses: { 200: jsonResponse(Channel, 'The channel') },
})

const resumeRoute = defineRoute({
  method: 'post',
  path: '/v1/apps/{appId}/channels/{channelId}/resume',
  operationId: 'resumeChannel',
  summary: 'Answer with updates again',
  access: { kind: 'app', scope: 'channels:write', perChannel: true },
  request: { params: ChannelPath },
  responses: { 200: jsonResponse(Channel, 'The channel') },
})

const deleteRoute = defineRoute({
  method: 'delete',
  path: '/v1/apps/{appId}/channels/{channelId}',
  operationId: 'deleteChannel',
  summary: 'Delete a channel with its deployments',
  access: { kind: 'app', scope: 'channels:write', perChannel: true },
  request: { params: ChannelPath },
  responses: { 204: { description: 'Deleted' } },
})

const deleteByNameRoute = defineRoute({
  method: 'delete',
  path: '/v1/apps/{appId}/channels',
  operationId: 'deleteChannelByName',
  summary: 'Delete the channel of this name',
  access: { kind: 'app', scope: 'channels:write', perChannel: true },
  request: { params: AppPath, query: z.object({ name: plainText(200).min(1) }) },
  responses: { 204: { description: 'Deleted' } },
})

export function registerChannelRoutes(app: OpenAPIHono<Env>): void {
  allowOtherOrigins(app, [listRoute])
  app.openapi(createRoute, async (c) => {
    const channel = await createChannel(c.get('ctx'), { ...c.req.valid('json'), appId: c.req.valid('param').appId })
    return c.json(presentChannel(channel), 201)
  })
  app.openapi(listRoute, async (c) => {
    const ctx = c.get('ctx')
    const { appId } = c.req.valid('param')
    const { name, query, limit, offset } = c.req.valid('query')
    const page = { limit: limit || 50, offset: offset || 0 }
    if (ctx.actor.type === 'device') {
      const queries = readDeviceQuery(c.req.url).readings('query')
      return c.json(await discoverChannels(ctx, { appId, queries, ...page }), 200)
    }
    const found = await listChannels(ctx, { appId, name, query, ...page })
    return c.json(
      found.map((channel) => presentChannel(channel)),
      200,
    )
  })
  app.openapi(getRoute, async (c) => {
    const { channel, deployment } = await getChannel(c.get('ctx'), c.req.valid('param'))
    const wanted = c.req.valid('query').relations.has('appDeployment')
    return c.json(presentChannel(channel, wanted ? deployment : undefined), 200)
  })
  app.openapi(updateRoute, async (c) => {
    const channel = await updateChannel(c.get('ctx'), { ...c.req.valid('json'), ...c.req.valid('param') })
    return c.json(presentChannel(channel), 200)
  })
  app.openapi(pauseRoute, async (c) =>
    c.json(presentChannel(await pauseChannel(c.get('ctx'), { ...c.req.valid('param'), paused: true })), 200),
  )
  app.openapi(resumeRoute, async (c) =>
    c.json(presentChannel(await pauseChannel(c.get('ctx'), { ...c.req.valid('param'), paused: false })), 200),
  )
  app.openapi(deleteRoute, async (c) => {
    const { appId, channelId } = c.req.valid('param')
    await deleteChannel(c.get('ctx'), { appId, key: { id: channelId } })
    return c.body(null, 204)
  })
  app.openapi(deleteByNameRoute, async (c) => {
    await deleteChannel(c.get('ctx'), { appId: c.req.valid('param').appId, key: { name: c.req.valid('query').name } })
    return c.body(null, 204)
  })
}
