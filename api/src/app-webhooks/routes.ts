import { deliveryStatuses } from '@capstan/migrations'
import { z, type OpenAPIHono } from '@hono/zod-openapi'
import type { Env } from '../auth/access.js'
import { defineRoute, Id, jsonBody, jsonResponse, PageQuery } from '../define-route.js'
import { createAppWebhook } from './create-app-webhook.js'
import { deleteAppWebhook } from './delete-app-webhook.js'
import { getAppWebhook, listAppWebhooks, listDeliveries } from './find-app-webhooks.js'
import {
  AppWebhook,
  AppWebhookFields,
  CreateFields,
  Delivery,
  presentAppWebhook,
  presentDelivery,
} from './present-app-webhook.js'
import { redeliver } from './redeliver.js'
import { rotateSigningSecret } from './rotate-signing-secret.js'
import { updateAppWebhook } from './update-app-webhook.js'

const path = '/v1/apps/{appId}/webhooks'
const AppPath = z.object({ appId: Id })
const WebhookPath = AppPath.extend({ webhookId: Id })
const DeliveryPath = WebhookPath.extend({ deliveryId: Id })
const WithSecret = AppWebhook.extend({ signingSecret: z.string() })

const createWebhookRoute = defineRoute({
  method: 'post',
  path,
  operationId: 'createAppWebhook',
  summary: 'Send events of the app to an address; the signing secret is shown once',
  access: { kind: 'app', scope: 'webhooks:write' },
  request: { params: AppPath, body: jsonBody(CreateFields) },
  responses: { 201: jsonResponse(WithSecret, 'The webhook') },
})

const listWebhooksRoute = defineRoute({
  method: 'get',
  path,
  operationId: 'listAppWebhooks',
  summary: 'Where events of the app are sent, newest first',
  access: { kind: 'app', scope: 'webhooks:read' },
  request: { params: AppPath, query: PageQuery },
  responses: { 200: jsonResponse(z.array(AppWebhook), 'Webhooks') },
})

const getWebhookRoute = defineRoute({
  method: 'get',
  path: `${path}/{webhookId}`,
  operationId: 'getAppWebhook',
  summary: 'One webhook of the app',
  access: { kind: 'app', scope: 'webhooks:read' },
  request: { params: WebhookPath },
  responses: { 200: jsonResponse(AppWebhook, 'The webhook') },
})

const updateWebhookRoute = defineRoute({
  method: 'patch',
  path: `${path}/{webhookId}`,
  operationId: 'updateAppWebhook',
  summary: 'Change, enable or disable a webhook; a new signing secret counts at once',
  access: { kind: 'app', scope: 'webhooks:write' },
  request: { params: WebhookPath, body: jsonBody(AppWebhookFields.partial()) },
  responses: { 200: jsonResponse(AppWebhook, 'The webhook') },
})

const deleteWebhookRoute = defineRoute({
  method: 'delete',
  path: `${path}/{webhookId}`,
  operationId: 'deleteAppWebhook',
  summary: 'Send nothing there any more',
  // Containment never waits for a second factor.
  access: { kind: 'app', scope: 'webhooks:write', stepUp: 'never' },
  request: { params: WebhookPath },
  responses: { 204: { description: 'Deleted' } },
})

const rotateSecretRoute = defineRoute({
  method: 'post',
  path: `${path}/{webhookId}/secret-rotations`,
  operationId: 'rotateSigningSecret',
  summary: 'A new signing secret, shown once; the old one signs as well during the overlap',
  access: { kind: 'app', scope: 'webhooks:write' },
  request: {
    params: WebhookPath,
    body: jsonBody(z.object({ overlapHours: z.number().min(0).max(168).default(24) })),
  },
  responses: { 201: jsonResponse(WithSecret, 'The webhook') },
})

const listDeliveriesRoute = defineRoute({
  method: 'get',
  path: `${path}/{webhookId}/deliveries`,
  operationId: 'listWebhookDeliveries',
  summary: 'What was sent in the last 30 days and what came of it, newest first',
  access: { kind: 'app', scope: 'webhooks:read' },
  request: { params: WebhookPath, query: PageQuery.extend({ status: z.enum(deliveryStatuses).optional() }) },
  responses: { 200: jsonResponse(z.array(Delivery), 'Deliveries') },
})

const redeliverRoute = defineRoute({
  method: 'post',
  path: `${path}/{webhookId}/deliveries/{deliveryId}/redeliveries`,
  operationId: 'redeliver',
  summary: 'Send it once more, with the same id',
  access: { kind: 'app', scope: 'webhooks:write' },
  request: { params: DeliveryPath },
  responses: { 202: jsonResponse(Delivery, 'The delivery, which is sent soon') },
})

export function registerAppWebhookRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(createWebhookRoute, async (c) => {
    const ctx = c.get('ctx')
    const { row, signingSecret } = await createAppWebhook(ctx, c.req.valid('param').appId, c.req.valid('json'))
    return c.json({ ...presentAppWebhook(ctx.webhookKey, row), signingSecret }, 201)
  })
  app.openapi(listWebhooksRoute, async (c) => {
    const ctx = c.get('ctx')
    const { limit = 50, offset = 0 } = c.req.valid('query')
    const rows = await listAppWebhooks(ctx, c.req.valid('param').appId, { limit, offset })
    return c.json(
      rows.map((row) => presentAppWebhook(ctx.webhookKey, row)),
      200,
    )
  })
  app.openapi(getWebhookRoute, async (c) => {
    const ctx = c.get('ctx')
    const { appId, webhookId } = c.req.valid('param')
    return c.json(presentAppWebhook(ctx.webhookKey, await getAppWebhook(ctx, appId, webhookId)), 200)
  })
  app.openapi(updateWebhookRoute, async (c) => {
    const ctx = c.get('ctx')
    const row = await updateAppWebhook(ctx, { ...c.req.valid('json'), ...c.req.valid('param') })
    return c.json(presentAppWebhook(ctx.webhookKey, row), 200)
  })
  app.openapi(deleteWebhookRoute, async (c) => {
    const { appId, webhookId } = c.req.valid('param')
    await deleteAppWebhook(c.get('ctx'), appId, webhookId)
    return c.body(null, 204)
  })
  app.openapi(rotateSecretRoute, async (c) => {
    const ctx = c.get('ctx')
    const { row, signingSecret } = await rotateSigningSecret(ctx, { ...c.req.valid('json'), ...c.req.valid('param') })
    return c.json({ ...presentAppWebhook(ctx.webhookKey, row), signingSecret }, 201)
  })
  app.openapi(listDeliveriesRoute, async (c) => {
    const { limit = 50, offset = 0, status } = c.req.valid('query')
    const rows = await listDeliveries(c.get('ctx'), { ...c.req.valid('param'), status, limit, offset })
    return c.json(rows.map(presentDelivery), 200)
  })
  app.openapi(redeliverRoute, async (c) =>
    c.json(presentDelivery(await redeliver(c.get('ctx'), c.req.valid('param'))), 202),
  )
}
