import { z, type OpenAPIHono } from '@hono/zod-openapi'
import type { Env } from '../auth/access.js'
import type { Scope } from '../auth/permissions.js'
import { type Context, requireScope } from '../context.js'
import { defineRoute, jsonBody, jsonResponse } from '../define-route.js'
import { Problem } from '../problems.js'
import { createUpload } from './create-upload.js'
import { type JoinUpload, joinUpload } from './join-upload.js'
import { storeUploadPart } from './store-upload-part.js'
import type { JoinedUpload, UploadTarget } from './upload-target.js'

const MAX_PARTS = 10_000
const PartNumber = z.coerce.number().int().min(1).max(MAX_PARTS)
const UploadId = z.string().regex(/^[A-Za-z0-9_-]{16,64}$/)

/** One kind of file that is uploaded in parts, under `<path>?action=mpu-create|mpu-uploadpart|mpu-complete`. */
export type UploadDoor<P> = {
  /** OpenAPI path that ends in `/upload`; it has `{appId}`. */
  path: string
  /** `BuildSource`, `BundleFile`: the middle of the operation ids. */
  name: string
  scope: Scope
  params: z.ZodType<P>
  /** Finds what is uploaded; refuses what does not exist. */
  target(ctx: Context, params: P): Promise<UploadTarget>
  /** Judges the joined bytes and records them with `settleUpload`. Runs again when the call is repeated. */
  accept(
    ctx: Context,
    params: P,
    upload: { uploadId: string; target: UploadTarget; joined: JoinedUpload },
  ): Promise<void>
}

export function registerUploadRoutes<P>(app: OpenAPIHono<Env>, door: UploadDoor<P>): void {
  app.openapi(postRoute(door), async (c) => {
    const ctx = c.get('ctx')
    const params = c.req.valid('param') as P
    const { action, uploadId } = c.req.valid('query')
    requireScope(ctx, door.scope)
    const target = await door.target(ctx, params)
    if (action === 'mpu-create') return c.json(await createUpload(ctx, target), 201)
    const input = requireUploadId({ uploadId, parts: c.req.valid('json').parts ?? [] })
    const joined = await joinUpload(ctx, target, input)
    await door.accept(ctx, params, { uploadId: input.uploadId, target, joined })
    return c.json({}, 200)
  })
  app.openapi(putRoute(door), async (c) => {
    const ctx = c.get('ctx')
    requireScope(ctx, door.scope)
    const target = await door.target(ctx, c.req.valid('param') as P)
    const { blob, partNumber } = c.req.valid('form')
    const bytes = new Uint8Array(await blob.arrayBuffer())
    return c.json(
      await storeUploadPart(ctx, target, { uploadId: c.req.valid('query').uploadId, partNumber, bytes }),
      200,
    )
  })
}

function postRoute<P>(door: UploadDoor<P>) {
  return defineRoute({
    method: 'post',
    path: door.path,
    operationId: `upload${door.name}`,
    summary: 'Open a multipart upload, or join its parts',
    access: { kind: 'app', scope: door.scope },
    request: {
      params: door.params as never,
      query: z.object({ action: z.enum(['mpu-create', 'mpu-complete']), uploadId: UploadId.optional() }),
      body: jsonBody(
        z.object({
          parts: z
            .array(z.object({ partNumber: PartNumber, etag: z.string().optional() }))
            .max(MAX_PARTS)
            .optional(),
        }),
      ),
    },
    responses: {
      200: jsonResponse(z.object({}), 'The parts are joined'),
      201: jsonResponse(z.object({ uploadId: z.string() }), 'The upload is open'),
    },
  })
}

function putRoute<P>(door: UploadDoor<P>) {
  return defineRoute({
    method: 'put',
    path: door.path,
    operationId: `upload${door.name}Part`,
    summary: 'Upload one part',
    access: { kind: 'app', scope: door.scope },
    request: {
      params: door.params as never,
      query: z.object({ action: z.literal('mpu-uploadpart'), uploadId: UploadId }),
      body: {
        content: {
          'multipart/form-data': {
            schema: z.object({
              blob: z.file('Send the part as the file field "blob".').openapi({ type: 'string', format: 'binary' }),
              partNumber: PartNumber,
            }),
          },
        },
        required: true as const,
      },
    },
    responses: {
      200: jsonResponse(
        z.object({ partNumber: z.number().int(), etag: z.string() }),
        'The part, to be listed at the end',
      ),
    },
  })
}

function requireUploadId(input: { uploadId: string | undefined; parts: JoinUpload['parts'] }): JoinUpload {
  if (!input.uploadId) throw new Problem('request-invalid', 'uploadId: say which upload is complete.')
  return { uploadId: input.uploadId, parts: input.parts }
}
