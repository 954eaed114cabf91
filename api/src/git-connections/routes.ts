import { z, type OpenAPIHono } from '@hono/zod-openapi'
import type { Env } from '../auth/access.js'
import { storableText } from '../builds/build-variables.js'
import { defineRoute, Id, jsonBody, jsonResponse, PageQuery, Timestamp } from '../define-route.js'
import { createConnection } from './create-connection.js'
import { deleteConnection } from './delete-connection.js'
import type { GitConnection as Row } from './find-connection.js'
import { listConnections } from './list-connections.js'

const OrganizationPath = z.object({ organizationId: Id })
const ConnectionPath = z.object({ organizationId: Id, connectionId: Id })
const Text = storableText(16 * 1024).min(1)
const OneLine = storableText(4_096)
  .min(1)
  .regex(/^[^\r\n]*$/, 'is one line')
const Auth = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('none') }),
  z.object({ kind: z.literal('basic'), username: OneLine, password: OneLine }),
  z.object({ kind: z.literal('ssh'), privateKey: Text, knownHosts: Text }),
])

/** What was stored of a connection; its credential is never shown again. */
const GitConnection = z
  .object({
    id: Id,
    organizationId: Id,
    name: z.string(),
    provider: z.string(),
    host: z.string(),
    authKind: z.enum(['none', 'basic', 'ssh']),
    createdAt: Timestamp,
    updatedAt: Timestamp,
  })
  .openapi('GitConnection')

const createRoute = defineRoute({
  method: 'post',
  path: '/v1/organizations/{organizationId}/git-connections',
  operationId: 'createGitConnection',
  summary: 'Store how builds reach a git host',
  access: { kind: 'organization', scope: 'git-connections:write' },
  request: {
    params: OrganizationPath,
    body: jsonBody(
      z.object({
        name: storableText(200).trim().min(1),
        provider: z.enum(['github', 'gitlab', 'bitbucket', 'azure', 'azure_devops', 'gitea', 'git_http']),
        host: z.string().min(1).max(260).optional(),
        auth: Auth,
      }),
    ),
  },
  responses: { 201: jsonResponse(GitConnection, 'The connection') },
})

const listRoute = defineRoute({
  method: 'get',
  path: '/v1/organizations/{organizationId}/git-connections',
  operationId: 'listGitConnections',
  summary: 'Git connections of an organization, newest first',
  access: { kind: 'organization', scope: 'git-connections:read' },
  request: { params: OrganizationPath, query: PageQuery },
  responses: { 200: jsonResponse(z.array(GitConnection), 'Connections') },
})

const deleteRoute = defineRoute({
  method: 'delete',
  path: '/v1/organizations/{organizationId}/git-connections/{connectionId}',
  operationId: 'deleteGitConnection',
  summary: 'Delete a git connection and destroy the key of its credential',
  access: { kind: 'organization', scope: 'git-connections:write' },
  request: { params: ConnectionPath },
  responses: { 204: { description: 'Deleted' } },
})

export function registerGitConnectionRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(createRoute, async (c) =>
    c.json(presentConnection(await createConnection(c.get('ctx'), c.req.valid('json'))), 201),
  )
  app.openapi(listRoute, async (c) => {
    const { limit = 50, offset = 0 } = c.req.valid('query')
    return c.json((await listConnections(c.get('ctx'), { limit, offset })).map(presentConnection), 200)
  })
  app.openapi(deleteRoute, async (c) => {
    await deleteConnection(c.get('ctx'), c.req.valid('param').connectionId)
    return c.body(null, 204)
  })
}

function presentConnection(row: Row): z.infer<typeof GitConnection> {
  return {
    id: row.id,
    organizationId: row.orgId,
    name: row.name,
    provider: row.provider,
    host: row.host,
    authKind: row.authKind,
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
  }
}
