import { z, type OpenAPIHono } from '@hono/zod-openapi'
import { allowOtherOrigins } from '../allow-other-origins.js'
import type { Env } from '../auth/access.js'
import { defineRoute, Id, jsonBody, jsonResponse, Timestamp } from '../define-route.js'
import { addRoot } from './add-root.js'
import { listRoots } from './list-roots.js'
import type { AppRoot } from './queries.js'

/** Two signatures and at most six keys. */
const MAX_CHARACTERS = 256 * 1024
const AppPath = z.object({ appId: Id })

const Envelope = z.record(z.string(), z.unknown()).openapi({ description: 'A DSSE envelope.' })
const Root = z
  .object({ version: z.number().int(), sha256: z.string(), envelope: Envelope, createdAt: Timestamp })
  .openapi('Root', { description: 'A root statement: the keys that devices of an app believe from then on.' })

const addRoute = defineRoute({
  method: 'post',
  path: '/v1/apps/{appId}/roots',
  operationId: 'addRoot',
  summary: 'Rotate the keys of an app by its next root statement',
  access: { kind: 'app', scope: 'public-keys:write' },
  request: {
    params: AppPath,
    body: jsonBody(z.object({ root: Envelope.refine(isSmall, 'is larger than a root statement can be') })),
  },
  responses: { 201: jsonResponse(Root, 'The root') },
})

const listRoute = defineRoute({
  method: 'get',
  path: '/v1/apps/{appId}/roots',
  operationId: 'listRoots',
  summary: 'Root statements of an app, oldest first; they count from 2',
  access: { kind: 'device' },
  request: {
    params: AppPath,
    query: z.object({ after: z.coerce.number().int().min(0).max(1_000_000).default(0).optional() }),
  },
  responses: { 200: jsonResponse(z.array(Root), 'Roots') },
})

export function registerRootRoutes(app: OpenAPIHono<Env>): void {
  allowOtherOrigins(app, [listRoute])
  app.openapi(addRoute, async (c) => {
    const added = await addRoot(c.get('ctx'), { ...c.req.valid('json'), ...c.req.valid('param') })
    return c.json(presentRoot(added), 201)
  })
  app.openapi(listRoute, async (c) => {
    const { after = 0 } = c.req.valid('query')
    const found = await listRoots(c.get('ctx'), { ...c.req.valid('param'), after })
    c.header('cache-control', 'public, max-age=60')
    return c.json(found.map(presentRoot), 200)
  })
}

function presentRoot(row: AppRoot): z.infer<typeof Root> {
  return {
    version: row.version,
    sha256: row.sha256,
    envelope: row.envelope,
    createdAt: row.createdAt.toISOString(),
  }
}

function isSmall(envelope: object): boolean {
  try {
    const text = JSON.stringify(envelope)
    return text.length <= MAX_CHARACTERS && !text.includes('\\u0000')
  } catch {
    return false
  }
}
