import { Readable } from 'node:stream'
import { z, type OpenAPIHono } from '@hono/zod-openapi'
import type { Context as HonoContext } from 'hono'
import { allowOtherOrigins } from '../allow-other-origins.js'
import type { Env } from '../auth/access.js'
import { defineRoute, Id, jsonResponse } from '../define-route.js'
import { attachmentNamed } from '../objects/attachment-named.js'
import { asProblem } from '../objects/object-problem.js'
import { resolveRange } from '../objects/object-store.js'
import { Problem, ProblemDocument } from '../problems.js'
import { type DeliveredFile, findBundleFile } from './find-bundle-file.js'
import { answerCheck } from './answer-check.js'
import { readDeviceQuery } from './read-device-query.js'
import { readRange } from './read-range.js'

const Envelope = z.record(z.string(), z.unknown()).openapi({ description: 'A DSSE envelope.' })

const Update = z
  .object({
    artifactType: z.enum(['zip', 'manifest']),
    bundleId: Id,
    channelName: z.string(),
    checksum: z.string().nullable(),
    signature: z.string().nullable(),
    customProperties: z.record(z.string(), z.string()),
    url: z.string(),
    release: Envelope.optional(),
    channelStatement: Envelope.optional(),
    patches: z.array(z.object({ from: z.string(), url: z.string(), sizeBytes: z.number() })).optional(),
    roots: z.array(Envelope).optional(),
  })
  .openapi('Update', { description: 'What a device should run. Devices parse it strictly.' })

const NoUpdate = ProblemDocument.extend({ roots: z.array(Envelope).optional() }).openapi('NoUpdate')

// Read from the address itself, because platforms encode it differently; here for the description alone.
const deviceQuery = z.object({
  appVersionCode: z.string().optional(),
  appVersionName: z.string().optional(),
  bundleId: z.string().optional(),
  channelName: z.string().optional(),
  customId: z.string().optional(),
  deviceId: z.string().optional(),
  osVersion: z.string().optional(),
  platform: z.string().optional().openapi({ description: '0 Android, 1 iOS, 2 Electron, 3 web' }),
  pluginVersion: z.string().optional(),
})

const latestRoute = defineRoute({
  method: 'get',
  path: '/v1/apps/{appId}/bundles/latest',
  operationId: 'checkForUpdate',
  summary: 'The bundle that a device should run; 404 means: stay as you are',
  access: { kind: 'app-or-device', scope: 'devices:read' },
  request: { params: z.object({ appId: Id }), query: deviceQuery },
  responses: {
    200: jsonResponse(Update, 'The bundle'),
    404: {
      description: 'There is no update',
      content: { 'application/problem+json': { schema: NoUpdate } },
    },
  },
})

const downloadRoute = defineRoute({
  method: 'get',
  path: '/v1/apps/{appId}/bundles/{bundleId}/download',
  operationId: 'downloadBundle',
  summary: 'The bytes of a zip bundle, or with href of one file of a manifest bundle',
  access: { kind: 'device' },
  request: { params: z.object({ appId: Id, bundleId: Id }), query: z.object({ href: z.string().optional() }) },
  responses: {
    200: { description: 'The bytes', content: { 'application/octet-stream': { schema: z.string() } } },
    206: { description: 'The range', content: { 'application/octet-stream': { schema: z.string() } } },
    304: { description: 'The bytes are those of the given ETag' },
  },
})

export function registerUpdateRoutes(app: OpenAPIHono<Env>): void {
  allowOtherOrigins(app, [latestRoute, downloadRoute])
  app.openapi(latestRoute, (c) => {
    const ctx = c.get('ctx')
    const { appId } = c.req.valid('param')
    const isProbe = ctx.actor.type !== 'device'
    const body = answerCheck(ctx, { appId, url: c.req.url, address: c.get('address') ?? '', isProbe })
    return c.body(Buffer.concat(body.pieces), 200, {
      'content-type': 'application/json',
      'cache-control': 'no-store',
    }) as never
  })
  app.openapi(downloadRoute, async (c) => {
    const { appId, bundleId } = c.req.valid('param')
    const hrefs = readDeviceQuery(c.req.url).readings('href')
    return deliver(c, await findBundleFile(c.get('ctx'), { appId, bundleId, hrefs }))
  })
}

/**
 * Bytes under an id never change, so they may be cached for good. A zip is sent as it is, because devices count its
 * bytes; a file of a manifest bundle also as brotli to who takes that. As an attachment, because they are a stranger's
 * pages at our address.
 */
async function deliver(c: HonoContext<Env>, file: DeliveredFile): Promise<Response> {
  const { objects } = c.get('ctx')
  const etag = `"${file.sha256}"`
  const headers: Record<string, string> = {
    'accept-ranges': 'bytes',
    'cache-control': 'public, max-age=31536000, immutable, no-transform',
    'content-disposition': attachmentNamed(file.name),
    'content-security-policy': "default-src 'none'; sandbox",
    'content-type': file.artifactType === 'zip' ? 'application/zip' : 'application/octet-stream',
    etag,
    'x-checksum': file.sha256,
    ...(file.signature ? { 'x-signature': file.signature } : {}),
  }
  if (file.brotli) headers.vary = 'accept-encoding'
  if (file.brotli && takesBrotli(c)) return deliverBrotli(c, file, file.brotli, headers)
  if (c.req.header('if-none-match')?.includes(etag)) return c.body(null, 304, headers)
  // Answered by the handler of GET; bytes that nobody reads would keep their file open.
  if (c.req.method === 'HEAD') return c.body(null, 200, { ...headers, 'content-length': String(file.sizeBytes) })
  const asked = c.req.header('if-range') ?? etag
  const range = asked === etag ? readRange(c.req.header('range'), file.sizeBytes) : null
  if (!range) {
    const { body } = await objects.get(file.objectKey).catch(asProblem)
    return c.body(streamOf(body), 200, { ...headers, 'content-length': String(file.sizeBytes) })
  }
  const { start, end } = rangeOf(range, file)
  const { body } = await objects.get(file.objectKey, { range: { start, end } }).catch(asProblem)
  return c.body(streamOf(body), 206, {
    ...headers,
    'content-length': String(end - start + 1),
    'content-range': `bytes ${start}-${end}/${file.sizeBytes}`,
  })
}

/** A range is one of the bytes themselves. */
function takesBrotli(c: HonoContext<Env>): boolean {
  const accepted = c.req.header('accept-encoding')?.toLowerCase() ?? ''
  return c.req.header('range') === undefined && /(?:^|[\s,])br\s*(?:$|,|;(?!\s*q=0(?:\.0*)?\s*(?:$|,)))/.test(accepted)
}

/** Checksum and signature are those of the content, which is what a device has after it unpacked it. */
async function deliverBrotli(
  c: HonoContext<Env>,
  file: DeliveredFile,
  brotli: NonNullable<DeliveredFile['brotli']>,
  plain: Record<string, string>,
): Promise<Response> {
  const etag = `"${file.sha256}-br"`
  const headers = { ...plain, etag, 'content-encoding': 'br' }
  if (c.req.header('if-none-match')?.includes(etag)) return c.body(null, 304, headers)
  const sized = { ...headers, 'content-length': String(brotli.sizeBytes) }
  if (c.req.method === 'HEAD') return c.body(null, 200, sized)
  const { body } = await c.get('ctx').objects.get(brotli.objectKey).catch(asProblem)
  return c.body(streamOf(body), 200, sized)
}

function rangeOf(range: { start: number; end?: number }, file: DeliveredFile): { start: number; end: number } {
  try {
    return resolveRange(range, file.sizeBytes)
  } catch {
    throw new Problem('range-invalid', `The file has ${file.sizeBytes} bytes; that range is not among them.`)
  }
}

function streamOf(body: Readable): ReadableStream {
  return Readable.toWeb(body) as ReadableStream
}
