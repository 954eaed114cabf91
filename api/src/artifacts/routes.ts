import { z, type OpenAPIHono } from '@hono/zod-openapi'
import type { Env } from '../auth/access.js'
import { defineRoute, Id, jsonResponse } from '../define-route.js'
import { Problem } from '../problems.js'
import { SealError } from '../vault/seal-client.js'
import { getProvenance } from './get-provenance.js'
import { listArtifacts } from './list-artifacts.js'
import { Artifact, presentArtifact } from './present-artifact.js'
import { requireReadyArtifact } from './require-ready-artifact.js'
import { sendObject } from './send-object.js'

const LINK_SECONDS = 15 * 60
const BuildParams = z.object({ appId: Id, buildId: Id })
const ArtifactParams = BuildParams.extend({ artifactId: Id })
const FileNameQuery = z.object({ fileName: z.string().min(1).max(128).optional() })

const listRoute = defineRoute({
  method: 'get',
  path: '/v1/apps/{appId}/builds/{buildId}/artifacts',
  operationId: 'listArtifacts',
  summary: 'Artefacts of a build',
  access: { kind: 'app', scope: 'builds:read' },
  request: { params: BuildParams },
  responses: { 200: jsonResponse(z.array(Artifact), 'Artefacts') },
})

const downloadRoute = defineRoute({
  method: 'get',
  path: '/v1/apps/{appId}/builds/{buildId}/artifacts/{artifactId}/download',
  operationId: 'downloadArtifact',
  summary: 'The bytes of an artefact',
  access: { kind: 'app', scope: 'builds:read' },
  request: { params: ArtifactParams, query: FileNameQuery },
  responses: {
    200: {
      description: 'The file; X-Checksum is its SHA-256',
      content: { 'application/octet-stream': { schema: z.string().openapi({ format: 'binary' }) } },
    },
  },
})

const linkRoute = defineRoute({
  method: 'get',
  path: '/v1/apps/{appId}/builds/{buildId}/artifacts/{artifactId}/signed-download-url',
  operationId: 'signArtifactDownloadUrl',
  summary: 'A link to an artefact that works without a token for a short time',
  access: { kind: 'app', scope: 'builds:read' },
  request: { params: ArtifactParams, query: FileNameQuery },
  responses: {
    200: jsonResponse(z.object({ url: z.string(), expiresAt: z.number().int() }), 'The link; expiresAt in ms'),
  },
})

const Envelope = z
  .object({
    payloadType: z.string(),
    payload: z.string(),
    signatures: z.array(z.object({ keyid: z.string(), sig: z.string() })),
  })
  .openapi('DsseEnvelope')

const provenanceRoute = defineRoute({
  method: 'get',
  path: '/v1/apps/{appId}/builds/{buildId}/artifacts/{artifactId}/provenance',
  operationId: 'getArtifactProvenance',
  summary: 'Where an artefact comes from: an in-toto statement (SLSA provenance v1), signed by the platform',
  access: { kind: 'app', scope: 'builds:read' },
  request: { params: ArtifactParams },
  responses: { 200: jsonResponse(Envelope, 'The statement in a DSSE envelope') },
})

const provenanceKeyRoute = defineRoute({
  method: 'get',
  path: '/v1/provenance-key',
  operationId: 'getProvenanceKey',
  summary: 'The public key that signs provenance; keep it apart from what it verifies',
  access: { kind: 'public' },
  responses: { 200: jsonResponse(z.object({ keyId: z.string(), publicKeyPem: z.string() }), 'The key') },
})

export function registerArtifactRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(listRoute, async (c) => {
    const found = await listArtifacts(c.get('ctx'), c.req.valid('param'))
    return c.json(found.map(presentArtifact), 200)
  })
  app.openapi(downloadRoute, async (c) => {
    const artifact = await requireReadyArtifact(c.get('ctx'), c.req.valid('param'))
    const fileName = c.req.valid('query').fileName ?? artifact.fileName
    return sendObject(c.get('ctx'), { objectKey: artifact.objectKey, fileName, mimeType: artifact.fileMimeType })
  })
  app.openapi(provenanceRoute, async (c) =>
    c.json(Envelope.parse(await getProvenance(c.get('ctx'), c.req.valid('param'))), 200),
  )
  app.openapi(provenanceKeyRoute, async (c) => {
    const key = await c
      .get('deps')
      .seal.provenanceKey()
      .catch((error: unknown) => {
        if (error instanceof SealError) return null
        throw error
      })
    if (key) return c.json(key, 200)
    throw new Problem('provenance-unavailable', 'This platform signs no provenance, or its broker does not answer.')
  })
  app.openapi(linkRoute, async (c) => {
    const ctx = c.get('ctx')
    const artifact = await requireReadyArtifact(ctx, c.req.valid('param'))
    const fileName = c.req.valid('query').fileName ?? artifact.fileName
    const url = await ctx.objects.signedGetUrl(artifact.objectKey, { expiresInSeconds: LINK_SECONDS, fileName })
    return c.json({ url, expiresAt: ctx.now().getTime() + LINK_SECONDS * 1000 }, 200)
  })
}
