import { Readable } from 'node:stream'
import { z, type OpenAPIHono } from '@hono/zod-openapi'
import type { Env } from '../auth/access.js'
import { whileAdmitted } from '../auth/while-admitted.js'
import { defineRoute, Id, jsonResponse, PageQuery } from '../define-route.js'
import { registerCheckpointRoutes } from './checkpoints/routes.js'
import { exportAuditEvents, listAuditEvents } from './list-audit-events.js'

const AuditEventRow = z
  .object({ seq: z.number().int(), hash: z.string(), event: z.string() })
  .openapi('AuditEvent', { description: '`event` is the canonical JSON that was hashed.' })

const listRoute = defineRoute({
  method: 'get',
  path: '/v1/organizations/{organizationId}/audit-events',
  operationId: 'listAuditEvents',
  summary: 'Events of the audit chain, newest first',
  access: { kind: 'organization', scope: 'audit:read' },
  request: {
    params: z.object({ organizationId: Id }),
    query: PageQuery.extend({ action: z.string().max(100).optional() }),
  },
  responses: { 200: jsonResponse(z.array(AuditEventRow), 'Events') },
})

const exportRoute = defineRoute({
  method: 'get',
  path: '/v1/organizations/{organizationId}/audit-events/export',
  operationId: 'exportAuditEvents',
  summary: 'The whole audit chain as JSON Lines, for the offline verifier',
  access: { kind: 'organization', scope: 'audit:read' },
  request: { params: z.object({ organizationId: Id }) },
  responses: {
    200: { description: 'One event a line (application/x-ndjson)' },
  },
})

export function registerAuditRoutes(app: OpenAPIHono<Env>): void {
  registerCheckpointRoutes(app)
  app.openapi(listRoute, async (c) => {
    const { action, limit = 50, offset = 0 } = c.req.valid('query')
    return c.json(await listAuditEvents(c.get('ctx'), { action, limit, offset }), 200)
  })
  app.openapi(exportRoute, (c) => {
    // A failure breaks the connection off: a chain that only ended early would still verify.
    const ctx = c.get('ctx')
    const lines = Readable.from(whileAdmitted(ctx, 'audit:read', exportAuditEvents(ctx)), { highWaterMark: 1 })
    const { log } = ctx
    lines.once('error', (error) => log.error({ err: error, requestId: c.get('requestId') }, 'audit export broke off'))
    return c.body(Readable.toWeb(lines) as ReadableStream, 200, {
      'content-type': 'application/x-ndjson',
      'content-disposition': 'attachment; filename="audit-events.jsonl"',
    })
  })
}
