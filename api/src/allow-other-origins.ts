import type { OpenAPIHono } from '@hono/zod-openapi'
import type { Env } from './auth/access.js'

type Route = { method: string; getRoutingPath(): string }

/** What a page may send beside what every page may. */
const ALLOWED = 'content-type, if-none-match, if-range, range, x-capawesome-device-id'
const EXPOSED = 'content-length, content-range, etag, retry-after, x-checksum, x-request-id, x-signature'
const A_DAY = '86400'

/**
 * Opens routes to web apps on any other origin: they are for devices, which nobody signs in. Cookies are never involved,
 * and browsers let no request with a token through, unless the route takes tokens of devices. Call it before the routes
 * are registered.
 */
export function allowOtherOrigins(
  app: OpenAPIHono<Env>,
  routes: readonly Route[],
  { deviceToken = false }: { deviceToken?: boolean } = {},
): void {
  const allowedHeaders = deviceToken ? `authorization, ${ALLOWED}` : ALLOWED
  for (const path of new Set(routes.map((route) => route.getRoutingPath()))) {
    const methods = routes.filter((route) => route.getRoutingPath() === path).map(({ method }) => method.toUpperCase())
    app.use(path, async (c, next) => {
      c.header('access-control-allow-origin', '*')
      c.header('access-control-expose-headers', EXPOSED)
      if (c.req.method !== 'OPTIONS') return next()
      const allowed = { 'access-control-allow-headers': allowedHeaders, 'access-control-max-age': A_DAY }
      return c.body(null, 204, { ...allowed, 'access-control-allow-methods': [...methods, 'HEAD'].join(', ') })
    })
  }
}
