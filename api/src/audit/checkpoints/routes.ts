import { z, type OpenAPIHono } from '@hono/zod-openapi'
import type { Env } from '../../auth/access.js'
import { brokerUnavailable } from '../../broker-unavailable.js'
import { defineRoute, Id, jsonResponse, PageQuery } from '../../define-route.js'
import { listCheckpoints } from './list-checkpoints.js'
import { proveConsistency, proveInclusion } from './prove.js'

const organization = z.object({ organizationId: Id })
const Checkpoint = z
  .object({
    size: z.number().int(),
    note: z.string(),
    createdAt: z.string(),
    publishedAt: z.string().nullable(),
  })
  .openapi('AuditCheckpoint', { description: '`note` is a C2SP signed note: origin, size and Merkle root.' })
const Size = z.coerce.number().int().min(1).max(Number.MAX_SAFE_INTEGER)
const Proof = z.object({ size: z.number().int(), note: z.string(), hashes: z.array(z.string()) })

const checkpointsRoute = defineRoute({
  method: 'get',
  path: '/v1/organizations/{organizationId}/audit-checkpoints',
  operationId: 'listAuditCheckpoints',
  summary: 'Signed checkpoints of the audit chain, newest first',
  access: { kind: 'organization', scope: 'audit:read' },
  request: { params: organization, query: PageQuery },
  responses: { 200: jsonResponse(z.array(Checkpoint), 'Checkpoints') },
})

const inclusionRoute = defineRoute({
  method: 'get',
  path: '/v1/organizations/{organizationId}/audit-events/{seq}/proof',
  operationId: 'proveAuditEvent',
  summary: 'Proof that an event is in the log of a checkpoint',
  access: { kind: 'organization', scope: 'audit:read' },
  request: { params: organization.extend({ seq: Size }), query: z.object({ size: Size.optional() }) },
  responses: {
    200: jsonResponse(
      Proof.extend({ seq: z.number().int(), event: z.string() }).openapi('AuditInclusionProof'),
      'Merkle inclusion proof (RFC 6962)',
    ),
  },
})

const consistencyRoute = defineRoute({
  method: 'get',
  path: '/v1/organizations/{organizationId}/audit-checkpoints/{from}/proof',
  operationId: 'proveAuditConsistency',
  summary: 'Proof that an earlier checkpoint is the beginning of a later one',
  access: { kind: 'organization', scope: 'audit:read' },
  request: { params: organization.extend({ from: Size }), query: z.object({ size: Size.optional() }) },
  responses: {
    200: jsonResponse(
      Proof.extend({ from: z.number().int() }).openapi('AuditConsistencyProof'),
      'Merkle consistency proof (RFC 6962)',
    ),
  },
})

const keyRoute = defineRoute({
  method: 'get',
  path: '/v1/checkpoint-keys',
  operationId: 'listCheckpointKeys',
  summary: 'The public key that checkpoints of audit chains are verified with; keep a copy of your own',
  access: { kind: 'public' },
  request: {},
  responses: {
    200: jsonResponse(
      z.array(z.object({ pem: z.string(), algorithm: z.literal('Ed25519') }).openapi('CheckpointKey')),
      'Keys',
    ),
  },
})

export function registerCheckpointRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(keyRoute, async (c) => {
    const pem = await c.get('deps').seal.checkpointKey().catch(brokerUnavailable)
    c.header('cache-control', 'public, max-age=300')
    return c.json([{ pem, algorithm: 'Ed25519' as const }], 200)
  })
  app.openapi(checkpointsRoute, async (c) => {
    const { limit = 50, offset = 0 } = c.req.valid('query')
    const checkpoints = await listCheckpoints(c.get('ctx'), { limit, offset })
    return c.json(checkpoints.map(presentCheckpoint), 200)
  })
  app.openapi(inclusionRoute, async (c) => {
    const { seq } = c.req.valid('param')
    return c.json(await proveInclusion(c.get('ctx'), { seq, ...c.req.valid('query') }), 200)
  })
  app.openapi(consistencyRoute, async (c) => {
    const { from } = c.req.valid('param')
    return c.json(await proveConsistency(c.get('ctx'), { from, ...c.req.valid('query') }), 200)
  })
}

const presentCheckpoint = (row: { size: number; note: string; createdAt: Date; publishedAt: Date | null }) => ({
  size: row.size,
  note: row.note,
  createdAt: row.createdAt.toISOString(),
  publishedAt: row.publishedAt?.toISOString() ?? null,
})
