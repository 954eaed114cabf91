import type { MiddlewareHandler } from 'hono'
import type { Env } from '../auth/access.js'
import { Problem } from '../problems.js'

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ')

/** What a browser may do with a page of ours: load what this server sends, and nothing in a frame. */
export const pageHeaders: MiddlewareHandler<Env> = async (c, next) => {
  await next()
  c.header('content-security-policy', POLICY)
  c.header('x-frame-options', 'DENY')
  // Not "no-referrer": browsers would then send "Origin: null" with our own forms.
  c.header('referrer-policy', 'same-origin')
  c.header('cross-origin-opener-policy', 'same-origin')
  c.header('cross-origin-resource-policy', 'same-origin')
  c.header('permissions-policy', 'publickey-credentials-get=(self), camera=(), geolocation=(), microphone=()')
  c.header('cache-control', 'no-store')
}

/** A form counts only when our own page sent it: browsers name the origin of every form, and no page can forge it. */
export const ownFormsOnly: MiddlewareHandler<Env> = async (c, next) => {
  if (c.req.method === 'POST' && c.req.header('origin') !== new URL(c.get('deps').publicUrl).origin) {
    throw new Problem('form-foreign', `Open the page at ${c.get('deps').publicUrl} and send the form from there.`)
  }
  await next()
}
