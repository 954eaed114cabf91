import { supportScopes } from '@capstan/migrations'
import { z, type OpenAPIHono } from '@hono/zod-openapi'
import type { Context as HonoContext } from 'hono'
import { sendObject } from '../artifacts/send-object.js'
import type { Env } from '../auth/access.js'
import { defineRoute, Id, jsonBody, jsonResponse, PageQuery, Timestamp } from '../define-route.js'
import { textOfLog } from '../jobs/text-of-log.js'
import { attachmentNamed } from '../objects/attachment-named.js'
import { streamText } from '../stream-json.js'
import { approveGrant, endGrant } from './decide-grant.js'
import { listGrants } from './list-grants.js'
import { presentGrant, SupportGrant } from './present-grant.js'
import { openLog, readBuilds, readSource } from './read-for-support.js'
import { findOwnGrant } from './read-under-grant.js'
import { requestGrant } from './request-grant.js'

const OwnParams = z.object({ grantId: Id })
const BuildParams = z.object({ grantId: Id, buildId: Id })
const GrantParams = z.object({ organizationId: Id, grantId: Id })

const requestRoute = defineRoute({
  method: 'post',
  path: '/operator/v1/support-grants',
  operationId: 'requestSupportGrant',
  summary: 'Ask an organization to be allowed to read its logs, source or builds for some hours',
  access: { kind: 'operator' },
  request: {
    body: jsonBody(
      z.object({
        organizationId: Id,
        scope: z.enum(supportScopes),
        caseReference: z.string().trim().min(1).max(200),
        reason: z.string().trim().min(1).max(2000),
        hours: z.number().int().min(1).max(24),
      }),
    ),
  },
  responses: { 201: jsonResponse(SupportGrant, 'The request') },
})

const ownRoute = defineRoute({
  method: 'get',
  path: '/operator/v1/support-grants/{grantId}',
  operationId: 'getOwnSupportGrant',
  summary: 'What came of a request',
  access: { kind: 'operator' },
  request: { params: OwnParams },
  responses: { 200: jsonResponse(SupportGrant, 'The grant') },
})

const SupportBuild = z
  .object({
    id: Id,
    appId: Id,
    jobId: Id,
    number: z.number().int(),
    platform: z.string(),
    status: z.string(),
    statusCode: z.string().nullable(),
    createdAt: Timestamp,
  })
  .openapi('SupportBuild')

const buildsRoute = defineRoute({
  method: 'get',
  path: '/operator/v1/support-grants/{grantId}/builds',
  operationId: 'listSupportBuilds',
  summary: 'The newest builds, under a grant for builds',
  access: { kind: 'operator' },
  request: { params: OwnParams },
  responses: { 200: jsonResponse(z.array(SupportBuild), 'Builds') },
})

const logRoute = defineRoute({
  method: 'get',
  path: '/operator/v1/support-grants/{grantId}/builds/{buildId}/log',
  operationId: 'readSupportLog',
  summary: 'The log of a build, under a grant for logs',
  access: { kind: 'operator' },
  request: { params: BuildParams },
  responses: { 200: { description: 'The lines', content: { 'text/plain': { schema: z.string() } } } },
})

const sourceRoute = defineRoute({
  method: 'get',
  path: '/operator/v1/support-grants/{grantId}/builds/{buildId}/source',
  operationId: 'readSupportSource',
  summary: 'The source of a build, under a grant for source',
  access: { kind: 'operator' },
  request: { params: BuildParams },
  responses: { 200: { description: 'The archive' } },
})

const listRoute = defineRoute({
  method: 'get',
  path: '/v1/organizations/{organizationId}/support-grants',
  operationId: 'listSupportGrants',
  summary: 'What support asked for and got',
  access: { kind: 'organization', scope: 'support:read' },
  request: { params: z.object({ organizationId: Id }), query: PageQuery },
  responses: { 200: jsonResponse(z.array(SupportGrant), 'Grants, newest first') },
})

const approveRoute = defineRoute({
  method: 'post',
  path: '/v1/organizations/{organizationId}/support-grants/{grantId}/approval',
  operationId: 'approveSupportGrant',
  summary: 'Let support read what it asked for, from now on for as long as it asked',
  access: { kind: 'organization', scope: 'support:write' },
  request: { params: GrantParams },
  responses: { 200: jsonResponse(SupportGrant, 'The grant') },
})

const endRoute = defineRoute({
  method: 'delete',
  path: '/v1/organizations/{organizationId}/support-grants/{grantId}',
  operationId: 'endSupportGrant',
  summary: 'Decline a request, or take a grant back: with the next request of support',
  // Closing a door must not need a telephone at hand.
  access: { kind: 'organization', scope: 'support:write', stepUp: 'never' },
  request: { params: GrantParams },
  responses: { 204: { description: 'It opens nothing' } },
})

const callOf = (c: HonoContext<Env>, grantId: string) => ({
  operator: c.get('operator'),
  authorization: c.req.header('authorization'),
  requestId: c.get('requestId'),
  grantId,
})

export function registerSupportRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(requestRoute, async (c) => {
    const { now } = c.get('deps')
    const grant = await requestGrant(c.get('deps'), c.get('operator'), c.req.valid('json'), c.get('requestId'))
    return c.json(presentGrant(grant, now()), 201)
  })
  app.openapi(ownRoute, async (c) => {
    const grant = await findOwnGrant(c.get('deps'), callOf(c, c.req.valid('param').grantId))
    return c.json(presentGrant(grant, c.get('deps').now()), 200)
  })
  app.openapi(buildsRoute, async (c) => {
    const rows = await readBuilds(c.get('deps'), callOf(c, c.req.valid('param').grantId))
    return c.json(
      rows.map(({ createdAt, ...row }) => ({ ...row, createdAt: createdAt.toISOString() })),
      200,
    )
  })
  app.openapi(logRoute, async (c) => {
    const { grantId, buildId } = c.req.valid('param')
    const pages = await openLog(c.get('deps'), callOf(c, grantId), buildId)
    return streamText(textOfLog(pages), {
      'content-disposition': attachmentNamed('build.log'),
      'x-content-type-options': 'nosniff',
      'cache-control': 'private, no-store',
    })
  })
  app.openapi(sourceRoute, async (c) => {
    const { grantId, buildId } = c.req.valid('param')
    const { found, ctx } = await readSource(c.get('deps'), callOf(c, grantId), buildId)
    return sendObject(ctx, { objectKey: found, fileName: 'source.zip', mimeType: 'application/zip' })
  })
  app.openapi(listRoute, async (c) => {
    const { limit = 50, offset = 0 } = c.req.valid('query')
    const grants = await listGrants(c.get('ctx'), { limit, offset })
    return c.json(
      grants.map((grant) => presentGrant(grant, c.get('ctx').now())),
      200,
    )
  })
  app.openapi(approveRoute, async (c) => {
    const grant = await approveGrant(c.get('ctx'), c.req.valid('param').grantId)
    return c.json(presentGrant(grant, c.get('ctx').now()), 200)
  })
  app.openapi(endRoute, async (c) => {
    await endGrant(c.get('ctx'), c.req.valid('param').grantId)
    return c.body(null, 204)
  })
}
