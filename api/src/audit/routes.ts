import { Readable } from 'node:stream'
import { z, type OpenAPIHono } from '@hono/zod-openapi'
import type { Env } from '../auth/access.js'
import { whileAdmitted } from '../auth/while-admitted.js'
import { defineRoute, Id, jsonBody, jsonResponse, PageQuery, Timestamp } from '../define-route.js'
import { registerCheckpointRoutes } from './checkpoints/routes.js'
import { eraseValues } from './erase-values.js'
import { exportAuditTable } from './export-audit-table.js'
import { exportAuditEvents, listAuditEvents } from './list-audit-events.js'
import { presentValues } from './with-values.js'

const AuditEventRow = z
  .object({ seq: z.number().int(), hash: z.string(), event: z.string(), personal: z.record(z.string(), z.unknown()) })
  .openapi('AuditEvent', {
    description:
      '`event` is the canonical JSON that was hashed. `personal` are the values that it commits to without saying them; null: erased.',
  })

const Filter = z.object({
  action: z.string().max(100).optional(),
  actor: z.string().max(100).optional(),
  target: z.string().max(200).optional(),
  from: Timestamp.optional(),
  to: Timestamp.optional(),
  before: z.coerce.number().int().min(1).max(Number.MAX_SAFE_INTEGER).optional(),
})

const listRoute = defineRoute({
  method: 'get',
  path: '/v1/organizations/{organizationId}/audit-events',
  operationId: 'listAuditEvents',
  summary: 'Events of the audit chain, newest first; the next page is before the last number of this one',
  access: { kind: 'organization', scope: 'audit:read' },
  request: {
    params: z.object({ organizationId: Id }),
    query: PageQuery.extend(Filter.shape),
  },
  responses: { 200: jsonResponse(z.array(AuditEventRow), 'Events') },
})

const exportRoute = defineRoute({
  method: 'get',
  path: '/v1/organizations/{organizationId}/audit-events/export',
  operationId: 'exportAuditEvents',
  summary: 'The whole audit chain as JSON Lines, for the offline verifier; as CSV those that are asked for',
  access: { kind: 'organization', scope: 'audit:read' },
  request: {
    params: z.object({ organizationId: Id }),
    query: Filter.extend({ format: z.enum(['jsonl', 'csv']).default('jsonl').optional() }),
  },
  responses: {
    200: { description: 'One event a line (application/x-ndjson, or text/csv)' },
  },
})

const eraseRoute = defineRoute({
  method: 'post',
  path: '/v1/organizations/{organizationId}/audit-events/erasures',
  operationId: 'eraseAuditValues',
  summary: 'Erase what people wrote from the audit log; the chain stays whole, and says that it was done',
  access: { kind: 'organization', scope: 'audit:erase' },
  request: {
    params: z.object({ organizationId: Id }),
    body: jsonBody(
      z.object({
        actor: z.string().min(1).max(100).optional().openapi({ description: 'Of events of whom (id)' }),
        target: z.string().min(1).max(200).optional().openapi({ description: 'Of events about what (id)' }),
        text: z.string().min(3).max(200).optional().openapi({ description: 'Those that contain it, in any case' }),
      }),
    ),
  },
  responses: {
    200: jsonResponse(
      z.object({ values: z.number().int(), events: z.number().int() }).openapi('AuditErasure'),
      'How many values of how many events are gone',
    ),
  },
})

export function registerAuditRoutes(app: OpenAPIHono<Env>): void {
  registerCheckpointRoutes(app)
  app.openapi(listRoute, async (c) => {
    const { limit = 50, offset = 0, ...filter } = c.req.valid('query')
    const rows = await listAuditEvents(c.get('ctx'), { ...filter, limit, offset })
    const shown = rows.map((row) => ({ seq: row.seq, hash: row.hash, event: row.event, personal: presentValues(row) }))
    return c.json(shown, 200)
  })
  app.openapi(eraseRoute, async (c) => c.json(await eraseValues(c.get('ctx'), c.req.valid('json')), 200))
  app.openapi(exportRoute, (c) => {
    // A failure breaks the connection off: a chain that only ended early would still verify.
    const ctx = c.get('ctx')
    const { format, ...filter } = c.req.valid('query')
    const isTable = format === 'csv'
    // What is verified is the whole chain: a part of it would look cut.
    const source = isTable ? exportAuditTable(ctx, filter) : exportAuditEvents(ctx)
    const lines = Readable.from(whileAdmitted(ctx, 'audit:read', source), { highWaterMark: 1 })
    const { log } = ctx
    lines.once('error', (error) => log.error({ err: error, requestId: c.get('requestId') }, 'audit export broke off'))
    return c.body(Readable.toWeb(lines) as ReadableStream, 200, {
      'content-type': isTable ? 'text/csv; charset=utf-8' : 'application/x-ndjson',
      'content-disposition': `attachment; filename="audit-events.${isTable ? 'csv' : 'jsonl'}"`,
    })
  })
}
