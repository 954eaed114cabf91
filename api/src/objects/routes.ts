import { Readable } from 'node:stream'

import type { OpenAPIHono } from '@hono/zod-openapi'
import { z } from '@hono/zod-openapi'
import type { Context as HonoContext } from 'hono'

import type { Env } from '../auth/access.js'
import { defineRoute } from '../define-route.js'
import { Problem } from '../problems.js'
import { attachmentNamed } from './attachment-named.js'
import { asProblem } from './object-problem.js'
import type { OpenedObject, StoredObject } from './object-store.js'
import { parseRange } from './parse-range.js'

const params = z.object({ token: z.string().max(8192) })
const bytes = { 'application/octet-stream': { schema: z.string().openapi({ format: 'binary' }) } }

const downloadRoute = defineRoute({
  method: 'get',
  path: '/v1/objects/{token}',
  operationId: 'downloadObject',
  summary: 'Download what a signed link names; HEAD and single ranges work too',
  access: { kind: 'public' },
  request: { params },
  responses: {
    200: { description: 'The bytes', content: bytes },
    206: { description: 'The part asked for', content: bytes },
  },
})

const uploadRoute = defineRoute({
  method: 'put',
  path: '/v1/objects/{token}',
  operationId: 'uploadObject',
  summary: 'Upload what a signed link allows, once',
  access: { kind: 'public' },
  request: { params },
  responses: { 201: { description: 'Stored' } },
})

/** Bytes by signed link: the link is the permission, so there is no token here. */
export function registerObjectRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(downloadRoute, (c) => download(c, c.req.valid('param').token))
  app.openapi(uploadRoute, (c) => upload(c, c.req.valid('param').token))
}

async function download(c: HonoContext<Env>, token: string): Promise<Response> {
  const { objects, log } = c.get('deps')
  const { k: key, f: fileName } = claimsFor(c, token, 'GET')
  // Hono hands HEAD to the GET route and drops the body: it must not be opened, or nobody closes it.
  if (c.req.raw.method === 'HEAD') {
    const found = await objects.head(key).catch(asProblem)
    if (found === null) throw new Problem('object-not-found')
    return c.body(null, 200, headersOf(found, found.sizeBytes, fileName))
  }
  const range = await rangeOf(c, key)
  const object = await objects.get(key, { range }).catch(asProblem)
  object.body.once('error', (error) =>
    log.error({ err: error, key, requestId: c.get('requestId') }, 'download broke off'),
  )
  const { status, length, extra } = partOf(object)
  const headers = { ...headersOf(object, length, fileName), ...extra }
  return c.body(Readable.toWeb(object.body) as ReadableStream<Uint8Array>, status, headers)
}

async function rangeOf(c: HonoContext<Env>, key: string) {
  const header = c.req.header('range')
  if (header === undefined) return undefined
  const found = await c.get('deps').objects.head(key).catch(asProblem)
  if (found === null) throw new Problem('object-not-found')
  return parseRange(header, found.sizeBytes)
}

function partOf({ range, sizeBytes }: OpenedObject) {
  if (range === undefined) return { status: 200 as const, length: sizeBytes, extra: {} }
  const extra = { 'content-range': `bytes ${range.start}-${range.end}/${sizeBytes}` }
  return { status: 206 as const, length: range.end - range.start + 1, extra }
}

/** Stored bytes come from customers: a browser may save them, never show them as a page of this origin. */
function headersOf(object: StoredObject, length: number, fileName: string | undefined): Record<string, string> {
  return {
    'content-type': object.contentType,
    'content-length': String(length),
    'content-disposition': attachmentNamed(fileName ?? 'download'),
    'content-security-policy': "default-src 'none'; sandbox",
    'accept-ranges': 'bytes',
    'cache-control': 'private, max-age=0',
    etag: `"${object.sha256}"`,
  }
}

async function upload(c: HonoContext<Env>, token: string): Promise<Response> {
  // A refusal may leave bytes unread on the connection: it must not be used again. Success takes this back.
  c.header('connection', 'close')
  const claims = claimsFor(c, token, 'PUT')
  const announced = Number(c.req.header('content-length') ?? Number.NaN)
  if (announced > claims.n) throw new Problem('request-too-large', `This link takes at most ${claims.n} bytes.`)
  const { body } = c.req.raw
  const source = body === null ? Buffer.alloc(0) : Readable.fromWeb(body)
  const { sizeBytes, sha256 } = await c
    .get('deps')
    .objects.put(claims.k, source, { contentType: claims.t, maxBytes: claims.n, sha256: claims.s })
    .catch(asProblem)
  c.header('connection', undefined)
  return c.json({ sizeBytes, sha256 }, 201)
}

function claimsFor<M extends 'GET' | 'PUT'>(c: HonoContext<Env>, token: string, method: M) {
  const claims = c.get('deps').objectUrls.verify(token)
  type Wanted = Extract<NonNullable<typeof claims>, { m: M }>
  if (claims?.m !== method) {
    throw new Problem('object-url-invalid', 'This link is not valid or has expired. Ask for a new one.')
  }
  return claims as Wanted
}
