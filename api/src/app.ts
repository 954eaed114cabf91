import { OpenAPIHono } from '@hono/zod-openapi'
import { bodyLimit } from 'hono/body-limit'
import { HTTPException } from 'hono/http-exception'
import type { Context as HonoContext } from 'hono'
import { v7 } from 'uuid'
import type { Env } from './auth/access.js'
import type { Deps } from './context.js'
import { ObjectStoreError } from './objects/object-store.js'
import { Problem, type FieldError, toProblemDocument } from './problems.js'
import { registerRoutes } from './routes.js'

const BODY_LIMIT_BYTES = 12 * 1024 * 1024

/** The HTTP API as a value: served by `main.ts`, called directly by tests. */
export function createApp(deps: Deps): OpenAPIHono<Env> {
  const app = new OpenAPIHono<Env>({
    defaultHook: (result) => {
      if (!result.success) throw new Problem('request-invalid', ...describeIssues(result.error.issues))
    },
  })
  app.use(async (c, next) => {
    c.set('deps', deps)
    c.set('requestId', v7())
    c.header('x-request-id', c.get('requestId'))
    c.header('x-content-type-options', 'nosniff')
    await next()
  })
  app.use('/v1/*', unlessStreamed(bodyLimit({ maxSize: BODY_LIMIT_BYTES, onError: tooLarge })))
  app.use('/worker/*', bodyLimit({ maxSize: BODY_LIMIT_BYTES, onError: tooLarge }))
  app.openAPIRegistry.registerComponent('securitySchemes', 'token', { type: 'http', scheme: 'bearer' })
  registerRoutes(app)
  app.notFound((c) => problemResponse(c, new Problem('not-found', 'There is nothing at this address.')))
  app.onError((error, c) => problemResponse(c, toProblem(error, c)))
  return app
}

/** Object bytes are counted while they stream (see objects/), so that they need not fit in memory. */
function unlessStreamed(limit: ReturnType<typeof bodyLimit>): ReturnType<typeof bodyLimit> {
  return (c, next) => (c.req.path.startsWith('/v1/objects/') ? next() : limit(c, next))
}

function tooLarge(): never {
  throw new Problem('request-too-large', `The request is larger than ${BODY_LIMIT_BYTES / 1024 / 1024} MiB.`)
}

function describeIssues(issues: readonly { path: PropertyKey[]; message: string }[]): [string, FieldError[]] {
  const errors = issues.map((issue) => ({ pointer: `/${issue.path.map(String).join('/')}`, detail: issue.message }))
  const [first] = errors
  return [first ? `${first.pointer.slice(1) || 'request'}: ${first.detail}` : 'The request is not valid.', errors]
}

function toProblem(error: unknown, c: HonoContext<Env>): Problem {
  if (error instanceof Problem) return error
  if (error instanceof HTTPException) {
    if (error.status === 413) return new Problem('request-too-large')
    return new Problem('request-malformed', readable(error))
  }
  if (isUnstorableText(error)) return new Problem('request-invalid', 'Text may not contain the character NUL.')
  const { log } = c.get('deps')
  log.error({ err: error, requestId: c.get('requestId'), path: c.req.path }, 'request failed')
  if (error instanceof ObjectStoreError && error.code === 'object-store-unavailable') {
    return new Problem('dependency-unavailable', 'The object store does not answer. Try again in a moment.')
  }
  return new Problem('internal-error', `Something went wrong on our side. Quote request ${c.get('requestId')}.`)
}

/** Text that Postgres cannot store: a NUL character, a lone surrogate (22021, 22P05). */
function isUnstorableText(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined
  return cause instanceof Error && 'code' in cause && ['22021', '22P05'].includes(String(cause.code))
}

function readable({ status, message }: HTTPException): string {
  if (status === 415) return 'The Content-Type does not fit: see the OpenAPI document for what this address takes.'
  return message || 'The request could not be read.'
}

function problemResponse(c: HonoContext<Env>, problem: Problem): Response {
  const document = toProblemDocument(problem, c.get('deps').publicUrl, c.get('requestId'))
  // Old device clients store an error body as the file they asked for unless its checksum is wrong.
  const headers = { 'content-type': 'application/problem+json', 'x-checksum': '0', 'cache-control': 'no-store' }
  return c.body(JSON.stringify(document), document.status as 400, headers)
}
