import { checkpointWebhooks, withOrg } from '@capstan/migrations'
import { z, type OpenAPIHono } from '@hono/zod-openapi'
import { desc } from 'drizzle-orm'
import type { Env } from '../auth/access.js'
import { defineRoute, Id, jsonBody, jsonResponse, Timestamp } from '../define-route.js'
import { createCheckpointWebhook } from './create-checkpoint-webhook.js'
import { deleteCheckpointWebhook } from './delete-checkpoint-webhook.js'

const CheckpointWebhook = z
  .object({
    id: Id,
    url: z.string(),
    /** Events in the last checkpoint that was taken. */
    deliveredSize: z.number().int(),
    deliveredAt: Timestamp.nullable(),
    /** Attempts that failed since then, why the last one did, and when the next one comes. */
    failures: z.number().int(),
    lastFailure: z.string().nullable(),
    nextAttemptAt: Timestamp,
    createdAt: Timestamp,
  })
  .openapi('CheckpointWebhook')

const path = '/v1/organizations/{organizationId}/checkpoint-webhooks'
const params = z.object({ organizationId: Id })

const createWebhookRoute = defineRoute({
  method: 'post',
  path,
  operationId: 'createCheckpointWebhook',
  summary: 'Send each signed checkpoint of the audit log to an address; the signing secret is shown once',
  access: { kind: 'organization', scope: 'organizations:write' },
  request: { params, body: jsonBody(z.object({ url: z.string().max(2000) })) },
  responses: { 201: jsonResponse(CheckpointWebhook.extend({ secret: z.string() }), 'The webhook') },
})

const listWebhooksRoute = defineRoute({
  method: 'get',
  path,
  operationId: 'listCheckpointWebhooks',
  summary: 'Where checkpoints are sent, and how far that has come',
  access: { kind: 'organization', scope: 'audit:read' },
  request: { params },
  responses: { 200: jsonResponse(z.array(CheckpointWebhook), 'Webhooks') },
})

const deleteWebhookRoute = defineRoute({
  method: 'delete',
  path: `${path}/{checkpointWebhookId}`,
  operationId: 'deleteCheckpointWebhook',
  summary: 'Send checkpoints there no more',
  access: { kind: 'organization', scope: 'organizations:write' },
  request: { params: params.extend({ checkpointWebhookId: Id }) },
  responses: { 204: { description: 'Deleted' } },
})

export function registerCheckpointWebhookRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(createWebhookRoute, async (c) => {
    const { row, secret } = await createCheckpointWebhook(c.get('ctx'), c.req.valid('json'))
    return c.json({ ...present(row), secret }, 201)
  })
  app.openapi(listWebhooksRoute, async (c) => {
    const { db, orgId } = c.get('ctx')
    const rows = await withOrg(db, orgId, (tx) =>
      tx.select().from(checkpointWebhooks).orderBy(desc(checkpointWebhooks.id)),
    )
    return c.json(rows.map(present), 200)
  })
  app.openapi(deleteWebhookRoute, async (c) => {
    await deleteCheckpointWebhook(c.get('ctx'), c.req.valid('param').checkpointWebhookId)
    return c.body(null, 204)
  })
}

function present(row: typeof checkpointWebhooks.$inferSelect): z.infer<typeof CheckpointWebhook> {
  const { id, url, deliveredSize, failures, lastFailure } = row
  return {
    id,
    url,
    deliveredSize,
    deliveredAt: row.deliveredAt?.toISOString() ?? null,
    failures,
    lastFailure,
    nextAttemptAt: row.nextAttemptAt.toISOString(),
    createdAt: row.createdAt.toISOString(),
  }
}
