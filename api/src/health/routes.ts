import { z, type OpenAPIHono } from '@hono/zod-openapi'
import { sql } from 'drizzle-orm'
import type { Env } from '../auth/access.js'
import { defineRoute, jsonResponse } from '../define-route.js'
import { Problem, problems, type ProblemCode } from '../problems.js'

const Health = z.object({ status: z.enum(['ok', 'degraded']), detail: z.string().optional() })

const healthRoute = defineRoute({
  method: 'get',
  path: '/health',
  operationId: 'health',
  summary: 'Whether the API and what it needs answer',
  access: { kind: 'public' },
  responses: { 200: jsonResponse(Health, 'Everything answers, or update checks at least') },
})

const problemRoute = defineRoute({
  method: 'get',
  path: '/problems/{code}',
  operationId: 'explainProblem',
  summary: 'What a problem code means',
  access: { kind: 'public' },
  request: { params: z.object({ code: z.string() }) },
  responses: {
    200: jsonResponse(z.object({ code: z.string(), status: z.number().int(), title: z.string() }), 'The meaning'),
  },
})

export function registerHealthRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(healthRoute, async (c) => {
    const { db, seal, published } = c.get('deps')
    if (!published.isCurrent()) {
      const detail = 'The database does not answer. Update checks are answered from memory; all else waits for it.'
      return c.json({ status: 'degraded' as const, detail }, 200)
    }
    await db.execute(sql`select 1`).catch(() => {
      throw new Problem('dependency-unavailable', 'The database does not answer.')
    })
    await seal.health().catch(() => {
      throw new Problem('dependency-unavailable', 'The credential broker does not answer.')
    })
    return c.json({ status: 'ok' as const }, 200)
  })
  app.openapi(problemRoute, (c) => {
    const { code } = c.req.valid('param')
    if (!Object.hasOwn(problems, code)) throw new Problem('not-found', 'There is no such problem code.')
    return c.json({ code, ...problems[code as ProblemCode] }, 200)
  })
}
