import { Readable } from 'node:stream'
import { z, type OpenAPIHono } from '@hono/zod-openapi'
import type { Env } from '../auth/access.js'
import { plainText } from '../channels/plain-text.js'
import { defineRoute, Id, jsonBody, jsonResponse, Timestamp } from '../define-route.js'
import { asProblem } from '../objects/object-problem.js'
import { embedBundle } from './embed-bundle.js'
import { findPatch } from './find-patch.js'
import { listPatches } from './list-patches.js'

const BundlePath = z.object({ appId: Id, bundleId: Id })

const Patch = z
  .object({
    id: Id,
    fromBundleId: Id,
    toBundleId: Id,
    status: z.enum(['wanted', 'offered', 'refused']),
    sizeBytes: z.number().nullable(),
    sha256: z.string().nullable(),
    refusal: z.string().nullable().openapi({ description: 'Why none is offered, or no smaller one.' }),
    improving: z.boolean().openapi({ description: 'A smaller one may follow.' }),
  })
  .openapi('BundlePatch')

const Embedded = z
  .object({
    appId: Id,
    platform: z.enum(['android', 'ios', 'electron', 'web']),
    versionCode: z.string(),
    bundleId: Id,
    createdAt: Timestamp,
  })
  .openapi('EmbeddedBundle')

const listRoute = defineRoute({
  method: 'get',
  path: '/v1/apps/{appId}/bundles/{bundleId}/patches',
  operationId: 'listPatches',
  summary: 'The patches that lead to a bundle',
  access: { kind: 'app', scope: 'bundles:read' },
  request: { params: BundlePath },
  responses: { 200: jsonResponse(z.array(Patch), 'The patches') },
})

const downloadRoute = defineRoute({
  method: 'get',
  path: '/v1/apps/{appId}/bundles/{bundleId}/patches/{sha256}',
  operationId: 'downloadPatch',
  summary: 'The bytes of a patch',
  access: { kind: 'device' },
  request: { params: BundlePath.extend({ sha256: z.string() }) },
  responses: {
    200: { description: 'The bytes', content: { 'application/octet-stream': { schema: z.string() } } },
  },
})

const embedRoute = defineRoute({
  method: 'put',
  path: '/v1/apps/{appId}/embedded-bundles/{platform}/{versionCode}',
  operationId: 'embedBundle',
  summary: 'Note which bundle a native version was shipped with',
  access: { kind: 'app', scope: 'bundles:write' },
  request: {
    params: z.object({ appId: Id, platform: Embedded.shape.platform, versionCode: plainText(100).min(1) }),
    body: jsonBody(z.object({ bundleId: Id })),
  },
  responses: { 200: jsonResponse(Embedded, 'What was noted') },
})

export function registerPatchRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(listRoute, async (c) => {
    const patches = await listPatches(c.get('ctx'), c.req.valid('param'))
    return c.json(
      patches.map((patch) => ({
        id: patch.id,
        fromBundleId: patch.fromBundleId,
        toBundleId: patch.toBundleId,
        status:
          patch.sha256 !== null
            ? ('offered' as const)
            : patch.wantedEffort
              ? ('wanted' as const)
              : ('refused' as const),
        sizeBytes: patch.sizeBytes,
        sha256: patch.sha256,
        refusal: patch.refusal,
        improving: patch.wantedEffort !== null,
      })),
      200,
    )
  })
  app.openapi(downloadRoute, async (c) => {
    const ctx = c.get('ctx')
    const patch = await findPatch(ctx, c.req.valid('param'))
    const headers = {
      // Addressed by its bytes, which the device checks by what they make.
      'cache-control': 'public, max-age=31536000, immutable, no-transform',
      'content-length': String(patch.sizeBytes),
      'content-security-policy': "default-src 'none'; sandbox",
      'content-type': 'application/octet-stream',
      'content-disposition': 'attachment',
      etag: `"${patch.sha256}"`,
    }
    if (c.req.method === 'HEAD') return c.body(null, 200, headers)
    const { body } = await ctx.objects.get(patch.objectKey).catch(asProblem)
    return c.body(Readable.toWeb(body) as ReadableStream, 200, headers)
  })
  app.openapi(embedRoute, async (c) => {
    const embedded = await embedBundle(c.get('ctx'), { ...c.req.valid('param'), ...c.req.valid('json') })
    return c.json({ ...embedded, createdAt: embedded.createdAt.toISOString() }, 200)
  })
}
