import { z, type OpenAPIHono } from '@hono/zod-openapi'
import type { Env } from '../auth/access.js'
import { defineRoute, Id, jsonBody, jsonResponse, Timestamp } from '../define-route.js'
import { getRepository } from './get-repository.js'
import { linkRepository, type Repository as Row } from './link-repository.js'
import { unlinkRepository } from './unlink-repository.js'

const AppPath = z.object({ appId: Id })
const Slug = z
  .string()
  .min(1)
  .max(300)
  .regex(/^[\w.~ -]+(\/[\w.~ -]+)*$/, 'is not the name of a repository')
const Link = z.union([
  z.object({ ownerSlug: Slug, provider: z.string().max(40), repositorySlug: Slug, projectSlug: Slug.optional() }),
  z.object({ gitConnectionId: Id, path: Slug }),
  z.object({ url: z.string().min(1).max(2000), gitConnectionId: Id.optional() }),
])

const Repository = z
  .object({
    appId: Id,
    gitConnectionId: Id.nullable(),
    provider: z.string(),
    path: z.string(),
    name: z.string(),
    webUrl: z.string(),
    createdAt: Timestamp,
    updatedAt: Timestamp,
  })
  .openapi('AppRepository')

const linkRoute = defineRoute({
  method: 'put',
  path: '/v1/apps/{appId}/repository',
  operationId: 'linkRepository',
  summary: 'Link the repository that builds take their source from',
  access: { kind: 'app', scope: 'apps:write' },
  request: { params: AppPath, body: jsonBody(Link) },
  responses: { 200: jsonResponse(Repository, 'The repository') },
})

const getRoute = defineRoute({
  method: 'get',
  path: '/v1/apps/{appId}/repository',
  operationId: 'getRepository',
  summary: 'The linked repository',
  access: { kind: 'app', scope: 'apps:read' },
  request: { params: AppPath },
  responses: { 200: jsonResponse(Repository, 'The repository') },
})

const unlinkRoute = defineRoute({
  method: 'delete',
  path: '/v1/apps/{appId}/repository',
  operationId: 'unlinkRepository',
  summary: 'Unlink the repository',
  access: { kind: 'app', scope: 'apps:write' },
  request: { params: AppPath },
  responses: { 204: { description: 'Unlinked' } },
})

export function registerRepositoryRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(linkRoute, async (c) => {
    const { appId } = c.req.valid('param')
    return c.json(presentRepository(await linkRepository(c.get('ctx'), { ...c.req.valid('json'), appId })), 200)
  })
  app.openapi(getRoute, async (c) =>
    c.json(presentRepository(await getRepository(c.get('ctx'), c.req.valid('param').appId)), 200),
  )
  app.openapi(unlinkRoute, async (c) => {
    await unlinkRepository(c.get('ctx'), c.req.valid('param').appId)
    return c.body(null, 204)
  })
}

function presentRepository(row: Row): z.infer<typeof Repository> {
  return {
    appId: row.appId,
    gitConnectionId: row.gitConnectionId,
    provider: row.provider,
    path: row.path,
    name: row.path.split('/').at(-1) ?? row.path,
    webUrl: row.url,
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
  }
}
