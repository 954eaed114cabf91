import { z, type OpenAPIHono } from '@hono/zod-openapi'
import { appObjectPrefix } from '../apps/delete-app.js'
import { sendObject } from '../artifacts/send-object.js'
import type { Env } from '../auth/access.js'
import { defineRoute, Id, jsonBody, jsonResponse } from '../define-route.js'
import { Problem } from '../problems.js'
import { registerUploadRoutes } from '../uploads/register-upload-routes.js'
import { acceptBuildSource } from './accept-build-source.js'
import { createBuildSource, MAX_SOURCE_BYTES } from './create-build-source.js'
import { getBuildSource } from './get-build-source.js'
import { BuildSource, presentBuildSource } from './present-build-source.js'

const SourceParams = z.object({ appId: Id, buildSourceId: Id })

const createSourceRoute = defineRoute({
  method: 'post',
  path: '/v1/apps/{appId}/build-sources',
  operationId: 'createBuildSource',
  summary: 'Announce the source of a build',
  access: { kind: 'app', scope: 'builds:write' },
  request: {
    params: z.object({ appId: Id }),
    body: jsonBody(
      z.object({
        fileSizeInBytes: z.number().int().min(1).optional(),
        fileUrl: z.string().max(2000).optional(),
        sha256: z
          .string()
          .regex(/^[0-9a-f]{64}$/)
          .optional(),
      }),
    ),
  },
  responses: { 201: jsonResponse(BuildSource, 'The source; upload its bytes next') },
})

const getSourceRoute = defineRoute({
  method: 'get',
  path: '/v1/apps/{appId}/build-sources/{buildSourceId}',
  operationId: 'getBuildSource',
  summary: 'One build source',
  access: { kind: 'app', scope: 'builds:read' },
  request: { params: SourceParams },
  responses: { 200: jsonResponse(BuildSource, 'The source') },
})

const downloadSourceRoute = defineRoute({
  method: 'get',
  path: '/v1/apps/{appId}/build-sources/{buildSourceId}/download',
  operationId: 'downloadBuildSource',
  summary: 'The bytes of a build source',
  access: { kind: 'app', scope: 'builds:read' },
  request: { params: SourceParams },
  responses: {
    200: {
      description: 'The archive',
      content: { 'application/zip': { schema: z.string().openapi({ format: 'binary' }) } },
    },
  },
})

export function registerBuildSourceRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(createSourceRoute, async (c) => {
    const source = await createBuildSource(c.get('ctx'), { ...c.req.valid('json'), ...c.req.valid('param') })
    return c.json(presentBuildSource(source), 201)
  })
  app.openapi(getSourceRoute, async (c) =>
    c.json(presentBuildSource(await getBuildSource(c.get('ctx'), c.req.valid('param'))), 200),
  )
  app.openapi(downloadSourceRoute, async (c) => {
    const source = await getBuildSource(c.get('ctx'), c.req.valid('param'))
    if (!source.objectKey) throw new Problem('build-source-not-ready', 'This source has not been uploaded completely.')
    const { objectKey } = source
    return sendObject(c.get('ctx'), { objectKey, fileName: 'source.zip', mimeType: 'application/zip' })
  })
  registerUploadRoutes(app, {
    path: '/v1/apps/{appId}/build-sources/{buildSourceId}/upload',
    name: 'BuildSource',
    scope: 'builds:write',
    params: SourceParams,
    target: async (ctx, params) => {
      const source = await getBuildSource(ctx, params)
      return {
        kind: 'build-source',
        id: source.id,
        folder: `${appObjectPrefix(ctx.orgId, params.appId)}sources/${source.id}`,
        maxBytes: MAX_SOURCE_BYTES,
        contentType: 'application/zip',
      }
    },
    accept: acceptBuildSource,
  })
}
