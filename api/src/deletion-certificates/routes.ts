import { type OpenAPIHono, z } from '@hono/zod-openapi'

import type { Env } from '../auth/access.js'
import { brokerUnavailable } from '../broker-unavailable.js'
import { defineRoute, Id, jsonResponse, PageQuery, Timestamp } from '../define-route.js'
import { getDeletionCertificate } from './get-deletion-certificate.js'
import { listDeletionCertificates } from './list-deletion-certificates.js'

const listRoute = defineRoute({
  method: 'get',
  path: '/v1/organizations/{organizationId}/deletion-certificates',
  operationId: 'listDeletionCertificates',
  summary: 'Certificates of destroyed keys, newest first',
  access: { kind: 'organization', scope: 'credentials:read' },
  request: { params: z.object({ organizationId: Id }), query: PageQuery.extend({ subjectId: Id.optional() }) },
  responses: {
    200: jsonResponse(
      z.array(
        z
          .object({
            id: Id,
            subjectKind: z.enum(['credential', 'credential-version', 'organization']),
            subjectId: Id,
            createdAt: Timestamp,
          })
          .openapi('DeletionCertificate'),
      ),
      'Certificates',
    ),
  },
})

const getRoute = defineRoute({
  method: 'get',
  path: '/v1/deletion-certificates/{deletionCertificateId}',
  operationId: 'getDeletionCertificate',
  summary: 'The signed certificate that keys are destroyed; for everybody who was given its id',
  access: { kind: 'public' },
  request: { params: z.object({ deletionCertificateId: Id }) },
  responses: {
    200: jsonResponse(
      z
        .object({
          payloadType: z.string(),
          payload: z.string(),
          signatures: z.array(z.object({ keyid: z.string(), sig: z.string() })),
        })
        .openapi('DeletionEnvelope', { description: 'A DSSE envelope; `capstan keys verify` checks it offline.' }),
      'The envelope, byte for byte as it was signed',
    ),
  },
})

const keyRoute = defineRoute({
  method: 'get',
  path: '/v1/deletion-keys',
  operationId: 'listDeletionKeys',
  summary: 'The public key that deletion certificates are verified with',
  access: { kind: 'public' },
  request: {},
  responses: {
    200: jsonResponse(
      z.array(z.object({ keyId: z.string(), pem: z.string(), algorithm: z.literal('Ed25519') }).openapi('DeletionKey')),
      'Keys',
    ),
  },
})

const Envelope = z.object({
  payloadType: z.string(),
  payload: z.string(),
  signatures: z.array(z.object({ keyid: z.string(), sig: z.string() })),
})

export function registerDeletionCertificateRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(listRoute, async (c) => {
    const { limit = 50, offset = 0, subjectId } = c.req.valid('query')
    const found = await listDeletionCertificates(c.get('ctx'), { subjectId, limit, offset })
    return c.json(
      found.map((row) => ({ ...row, createdAt: row.createdAt.toISOString() })),
      200,
    )
  })
  app.openapi(getRoute, async (c) => {
    const { deletionCertificateId } = c.req.valid('param')
    return c.json(Envelope.parse(await getDeletionCertificate(c.get('deps'), deletionCertificateId)), 200)
  })
  app.openapi(keyRoute, async (c) => {
    const { keyId, publicKey } = await c.get('deps').seal.deletionKey().catch(brokerUnavailable)
    c.header('cache-control', 'public, max-age=300')
    return c.json([{ keyId, pem: publicKey, algorithm: 'Ed25519' as const }], 200)
  })
}
