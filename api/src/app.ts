import { setTimeout as sleep } from 'node:timers/promises'
import type { HttpBindings } from '@hono/node-server'
import { OpenAPIHono } from '@hono/zod-openapi'
import { HTTPException } from 'hono/http-exception'
import type { Context as HonoContext } from 'hono'
import { v7 } from 'uuid'
import type { Env } from './auth/access.js'
import { callerAddress } from './auth/client-address.js'
import type { Context, Deps } from './context.js'
import { ObjectStoreError } from './objects/object-store.js'
import { Problem, type FieldError, problemHeaders, toProblemDocument } from './problems.js'
import { registerRoutes } from './routes.js'

const READING = ['GET', 'HEAD', 'OPTIONS']
const SEEN_WITHIN_MS = 1_000

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
    const peer = (c.env as Partial<HttpBindings> | undefined)?.incoming?.socket.remoteAddress
    c.set('address', callerAddress(peer, c.req.header('x-forwarded-for'), deps.proxies))
    const always = { 'x-request-id': c.get('requestId'), 'x-content-type-options': 'nosniff' }
    for (const [name, value] of Object.entries(always)) c.header(name, value)
    await next()
    // A stream comes as a response of its own, which has none of what was set before.
    for (const [name, value] of Object.entries(always)) if (!c.res.headers.has(name)) c.res.headers.set(name, value)
  })
  app.use('/v1/apps/*', async (c, next) => {
    await next()
    const ctx = c.get('ctx') as Context | undefined
    const isOfDevice = ctx !== undefined && ctx.actor.type !== 'user'
    if (READING.includes(c.req.method) || c.res.status >= 400 || isOfDevice) return
    // Who changed something sees it from here on; that it was changed stays true without it.
    const seen = deps.published.refresh().catch(() => undefined)
    await Promise.race([seen, sleep(SEEN_WITHIN_MS, undefined, { ref: false })])
  })
  app.openAPIRegistry.registerComponent('securitySchemes', 'token', { type: 'http', scheme: 'bearer' })
  registerRoutes(app)
  app.notFound((c) => problemResponse(c, new Problem('not-found', 'There is nothing at this address.')))
  app.onError((error, c) => problemResponse(c, toProblem(error, c)))
  return app
}

function describeIssues(
  issues: readonly { path: PropertyKey[]; message: string }[],
): [string, { errors: FieldError[] }] {
  const errors = issues.map((issue) => ({ pointer: `/${issue.path.map(String).join('/')}`, detail: issue.message }))
  const [first] = errors
  return [first ? `${first.pointer.slice(1) || 'request'}: ${first.detail}` : 'The request is not valid.', { errors }]
}

function toProblem(error: unknown, c: HonoContext<Env>): Problem {
  if (error instanceof Problem && error.cause === undefined) return error
  if (error instanceof HTTPException) {
    if (error.status === 413) return new Problem('request-too-large')
    return new Problem('request-malformed', readable(error))
  }
  const state = databaseCode(error)
  if (state !== null && UNSTORABLE.includes(state)) {
    return new Problem('request-invalid', 'Text may not contain the character NUL.')
  }
  const { log } = c.get('deps')
  log.error({ err: error, requestId: c.get('requestId'), path: pathOf(c) }, 'request failed')
  if (state !== null && CONFLICTS.includes(state)) {
    return new Problem('request-conflict', 'Something else changed at the same time. Look at it and send this again.')
  }
  // The official CLI repeats a multipart request after a 5xx with a body that it has used up, and hangs.
  if (c.req.header('content-type')?.startsWith('multipart/')) {
    return new Problem('upload-not-stored', 'The file could not be stored just now. Upload it again in a moment.')
  }
  if (error instanceof Problem) return error
  if (error instanceof ObjectStoreError && error.code === 'object-store-unavailable') {
    return new Problem('dependency-unavailable', 'The object store does not answer. Try again in a moment.')
  }
  if (isDatabaseAway(error)) {
    return new Problem('dependency-unavailable', 'The database does not answer. Try again in a moment.')
  }
  return new Problem('internal-error', `Something went wrong on our side. Quote request ${c.get('requestId')}.`)
}

/** Text that Postgres cannot store: a NUL character, a lone surrogate. */
const UNSTORABLE = ['22021', '22P05']
/** A unique or foreign key that another request was faster at, and a deadlock that this one lost. */
const CONFLICTS = ['23503', '23505', '40P01']

function databaseCode(error: unknown): string | null {
  const cause = error instanceof Error ? error.cause : undefined
  return cause instanceof Error && 'code' in cause ? String(cause.code) : null
}

/** The connection ended, could not be made, or the server is shutting down. */
function isDatabaseAway(error: unknown): boolean {
  const codes = [error, error instanceof Error ? error.cause : null].flatMap((one) =>
    one instanceof Error && 'code' in one ? [String(one.code)] : [],
  )
  return codes.some((code) => /^(?:CONNECTION_|CONNECT_TIMEOUT|ECONNREFUSED|57P0|08)/.test(code))
}

/** A signed link is a permission: it does not belong in a log. */
function pathOf(c: HonoContext<Env>): string {
  const { path } = c.req
  return path.startsWith('/v1/objects/') ? '/v1/objects/…' : path
}

function readable({ status, message }: HTTPException): string {
  if (status === 415) return 'The Content-Type does not fit: see the OpenAPI document for what this address takes.'
  return message || 'The request could not be read.'
}

function problemResponse(c: HonoContext<Env>, problem: Problem): Response {
  const document = toProblemDocument(problem, c.get('deps').publicUrl, c.get('requestId'))
  return c.body(JSON.stringify(document), document.status as 400, { ...problemHeaders })
}
