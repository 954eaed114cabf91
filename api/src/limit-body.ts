import { bodyLimit } from 'hono/body-limit'
import type { MiddlewareHandler } from 'hono'
import type { Access } from './auth/access.js'
import { Problem } from './problems.js'

const MEMBER_BYTES = 12 * 1024 * 1024
const ANYONE_BYTES = 64 * 1024

const limits = { member: limitTo(MEMBER_BYTES), anyone: limitTo(ANYONE_BYTES) }

/** Bounds the body of a route; anyone may send no more than a form. Object bytes are counted where they are stored. */
export function limitBody({ kind }: Access): MiddlewareHandler {
  const open: readonly Access['kind'][] = ['public', 'device', 'device-token', 'app-or-device']
  return open.includes(kind) ? limits.anyone : limits.member
}

function limitTo(maxSize: number): MiddlewareHandler {
  const size = maxSize < 1024 * 1024 ? `${maxSize / 1024} KiB` : `${maxSize / 1024 / 1024} MiB`
  const onError = () => {
    throw new Problem('request-too-large', `The request is larger than ${size}.`)
  }
  return bodyLimit({ maxSize, onError })
}
