import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import type { OpenAPIHono } from '@hono/zod-openapi'
import { z } from '@hono/zod-openapi'
import type { Context as HonoContext } from 'hono'
import { allowOtherOrigins } from '../allow-other-origins.js'
import type { Env } from '../auth/access.js'
import { defineRoute, Id } from '../define-route.js'
import { parseRange } from '../objects/parse-range.js'
import { Problem } from '../problems.js'
import { appFolder, type StaticKind, staticKinds } from './static-paths.js'

const kinds = Object.keys(staticKinds) as [StaticKind, ...StaticKind[]]

const params = z.object({
  appId: Id,
  kind: z.enum(kinds),
  name: z.string().regex(/^[0-9a-f]{64}(?:-[a-z]{1,10})?(?:\.json|\.zip)?$/, 'is no name of a static object'),
})

const staticRoute = defineRoute({
  method: 'get',
  path: '/static/apps/{appId}/{kind}/{name}',
  operationId: 'getStaticObject',
  summary: 'A static object of an app, as a CDN would send it; HEAD and single ranges work too',
  access: { kind: 'device' },
  request: { params },
  responses: {
    200: { description: 'The bytes', content: { 'application/octet-stream': { schema: z.string() } } },
    206: { description: 'The part asked for', content: { 'application/octet-stream': { schema: z.string() } } },
    304: { description: 'The bytes are those of the given ETag' },
  },
})

/** Where static objects lie in a folder, this API sends them itself; out of a bucket a CDN does. */
export function registerStaticRoutes(app: OpenAPIHono<Env>): void {
  allowOtherOrigins(app, [staticRoute])
  app.openapi(staticRoute, (c) => {
    const { appId, kind, name } = c.req.valid('param')
    return send(c, kind, `${appFolder(appId.toLowerCase())}/${kind}/${name}`)
  })
}

async function send(c: HonoContext<Env>, kind: StaticKind, path: string): Promise<Response> {
  const { staticPlace } = c.get('deps')
  const file = staticPlace?.kind === 'folder' ? await open(join(staticPlace.dir, path)).catch(() => null) : null
  if (file === null) throw new Problem('not-found', 'File not found.')
  let isStreaming = false
  try {
    const { size, mtimeMs } = await file.stat()
    const etag =
      kind === 'channels' ? `"${mtimeMs.toString(36)}-${size}"` : `"${path.slice(path.lastIndexOf('/') + 1)}"`
    const { contentType, cacheControl } = staticKinds[kind]
    const headers: Record<string, string> = {
      'accept-ranges': 'bytes',
      'cache-control': cacheControl,
      'content-security-policy': "default-src 'none'; sandbox",
      'content-type': contentType,
      etag,
    }
    if (c.req.header('if-none-match')?.includes(etag)) return c.body(null, 304, headers)
    const whole = { ...headers, 'content-length': String(size) }
    if (c.req.raw.method === 'HEAD') return c.body(null, 200, whole)
    const isSame = (c.req.header('if-range') ?? etag) === etag
    const asked = isSame ? c.req.header('range') : undefined
    const range = asked === undefined ? undefined : parseRange(asked, size)
    isStreaming = true
    if (!range) return c.body(streamOf(file), 200, whole)
    const end = Math.min(range.end ?? size - 1, size - 1)
    return c.body(streamOf(file, { start: range.start, end }), 206, {
      ...headers,
      'content-length': String(end - range.start + 1),
      'content-range': `bytes ${range.start}-${end}/${size}`,
    })
  } finally {
    if (!isStreaming) await file.close()
  }
}

function streamOf(file: FileHandle, range?: { start: number; end: number }): ReadableStream<Uint8Array> {
  return Readable.toWeb(file.createReadStream(range)) as ReadableStream<Uint8Array>
}
