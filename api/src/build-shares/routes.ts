import { createHash } from 'node:crypto'
import { z, type OpenAPIHono } from '@hono/zod-openapi'
import type { Env } from '../auth/access.js'
import { storableText } from '../builds/build-variables.js'
import { defineRoute, Id, jsonBody, jsonResponse, Timestamp } from '../define-route.js'
import { Problem } from '../problems.js'
import { createShare, type Share as Row } from './create-share.js'
import { deleteShare } from './delete-share.js'
import { listShares } from './list-shares.js'
import { openShare } from './open-share.js'
import { qrPng } from './qr-png.js'
import { installManifest, pagePolicy, pageStyle, sharePage } from './share-page.js'

const LINK_SECONDS = 5 * 60
const BuildPath = z.object({ appId: Id, buildId: Id })
const SharePath = z.object({ shareId: Id })
const PAGE = '/app-build-shares'

const Share = z
  .object({
    id: Id,
    appBuildId: Id,
    description: z.string().nullable(),
    url: z.string(),
    expiresAt: Timestamp.nullable(),
    createdAt: Timestamp,
    createdBy: Id.nullable(),
  })
  .openapi('AppBuildShare')

const createRoute = defineRoute({
  method: 'post',
  path: '/v1/apps/{appId}/builds/{buildId}/shares',
  operationId: 'createBuildShare',
  summary: 'Share the files of a build by a link that expires',
  access: { kind: 'app', scope: 'builds:write' },
  request: {
    params: BuildPath,
    body: jsonBody(
      z.object({
        description: storableText(1000).nullish(),
        expiresAt: z.iso.datetime({ offset: true }).nullish(),
      }),
    ),
  },
  responses: { 201: jsonResponse(Share, 'The share') },
})

const listRoute = defineRoute({
  method: 'get',
  path: '/v1/apps/{appId}/builds/{buildId}/shares',
  operationId: 'listBuildShares',
  summary: 'Shares of a build that still work, newest first',
  access: { kind: 'app', scope: 'builds:write' },
  request: { params: BuildPath },
  responses: { 200: jsonResponse(z.array(Share), 'Shares') },
})

const deleteRoute = defineRoute({
  method: 'delete',
  path: '/v1/apps/{appId}/builds/{buildId}/shares/{shareId}',
  operationId: 'deleteBuildShare',
  summary: 'Make a share work no longer',
  access: { kind: 'app', scope: 'builds:write' },
  request: { params: BuildPath.extend({ shareId: Id }) },
  responses: { 204: { description: 'Deleted' } },
})

const page = (description: string, type: string) => ({
  200: { description, content: { [type]: { schema: z.string() } } },
})

const pageRoute = defineRoute({
  method: 'get',
  path: `${PAGE}/{shareId}`,
  operationId: 'showBuildShare',
  summary: 'Install page of a share',
  access: { kind: 'public' },
  request: { params: SharePath },
  responses: page('The page', 'text/html'),
})

const manifestRoute = defineRoute({
  method: 'get',
  path: `${PAGE}/{shareId}/manifest.plist`,
  operationId: 'showInstallManifest',
  summary: 'What iOS reads to install the app of a share',
  access: { kind: 'public' },
  request: { params: SharePath },
  responses: page('The manifest', 'application/xml'),
})

const fileRoute = defineRoute({
  method: 'get',
  path: `${PAGE}/{shareId}/artifacts/{artifactId}`,
  operationId: 'downloadSharedArtifact',
  summary: 'A file of a share: leads to a link that works for five minutes',
  access: { kind: 'public' },
  request: { params: SharePath.extend({ artifactId: Id }) },
  responses: { 302: { description: 'The link' } },
})

const qrRoute = defineRoute({
  method: 'get',
  path: '/v1/qrcodes',
  operationId: 'drawQrCode',
  summary: 'A QR code of the page of a share',
  access: { kind: 'public' },
  request: { query: z.object({ content: z.url().max(500), format: z.literal('png').default('png') }) },
  responses: { 200: { description: 'The picture', content: { 'image/png': { schema: z.string() } } } },
})

const unlisted = { 'cache-control': 'private, no-store', 'referrer-policy': 'no-referrer', 'x-robots-tag': 'noindex' }

export function registerBuildShareRoutes(app: OpenAPIHono<Env>): void {
  const present = (row: Row, publicUrl: string): z.infer<typeof Share> => ({
    id: row.id,
    appBuildId: row.buildId,
    description: row.description,
    url: `${publicUrl}${PAGE}/${row.id}`,
    expiresAt: row.expiresAt?.toISOString() ?? null,
    createdAt: row.createdAt.toISOString(),
    createdBy: row.createdBy,
  })
  app.openapi(createRoute, async (c) => {
    const share = await createShare(c.get('ctx'), { ...c.req.valid('json'), ...c.req.valid('param') })
    return c.json(present(share, c.get('deps').publicUrl), 201)
  })
  app.openapi(listRoute, async (c) => {
    const shares = await listShares(c.get('ctx'), c.req.valid('param'))
    return c.json(
      shares.map((share) => present(share, c.get('deps').publicUrl)),
      200,
    )
  })
  app.openapi(deleteRoute, async (c) => {
    await deleteShare(c.get('ctx'), c.req.valid('param'))
    return c.body(null, 204)
  })
  registerSharePages(app)
}

function registerSharePages(app: OpenAPIHono<Env>): void {
  const policy = pagePolicy(createHash('sha256').update(pageStyle).digest('base64'))
  const urlOf = (publicUrl: string, shareId: string) => `${publicUrl}${PAGE}/${shareId}`
  app.openapi(pageRoute, async (c) => {
    const share = await openShare(c.get('deps'), c.req.valid('param').shareId)
    const html = sharePage(share, urlOf(c.get('deps').publicUrl, share.id))
    return c.html(html, 200, { ...unlisted, 'content-security-policy': policy })
  })
  app.openapi(manifestRoute, async (c) => {
    const share = await openShare(c.get('deps'), c.req.valid('param').shareId)
    const manifest = installManifest(share, urlOf(c.get('deps').publicUrl, share.id))
    if (manifest === null) throw new Problem('not-found', 'This build holds no app for iOS.')
    return c.body(manifest, 200, { ...unlisted, 'content-type': 'application/xml; charset=utf-8' })
  })
  app.openapi(fileRoute, async (c) => {
    const { shareId, artifactId } = c.req.valid('param')
    const { files } = await openShare(c.get('deps'), shareId)
    const file = files.find(({ id }) => id === artifactId)
    if (!file) throw new Problem('not-found', 'This share has no such file.')
    const options = { expiresInSeconds: LINK_SECONDS, fileName: file.fileName }
    const location = await c.get('deps').objects.signedGetUrl(file.objectKey, options)
    return c.body(null, 302, { ...unlisted, location })
  })
  app.openapi(qrRoute, (c) => {
    // Drawn for pages of shares alone: a code from this address would lend its name to any other.
    const { content } = c.req.valid('query')
    if (!new RegExp(`^${PAGE}/[0-9a-f-]{36}$`).test(new URL(content).pathname)) {
      throw new Problem('request-invalid', 'content: only the address of a shared build is drawn.')
    }
    const headers = { 'content-type': 'image/png', 'cache-control': 'public, max-age=86400' }
    return c.body(new Uint8Array(qrPng(content)), 200, headers)
  })
}
