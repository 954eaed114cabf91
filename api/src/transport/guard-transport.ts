import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { v7 } from 'uuid'
import { networksOf, type Networks } from '../auth/client-address.js'
import { Problem, problemHeaders, toProblemDocument } from '../problems.js'
import { rawHeader } from './raw-header.js'

const YEAR_SECONDS = 365 * 24 * 60 * 60
const loopback = networksOf(['127.0.0.0/8', '::1'])

export type Transport = { encrypted: boolean; peer: string | undefined; forwardedProto: string | undefined }

/**
 * How a request came: `secure` through TLS, here or at a trusted proxy; `local` in clear from this machine or from a
 * trusted proxy that speaks for itself; `clear` in clear from anywhere else, or so to the proxy.
 */
export function judgeTransport(
  { encrypted, peer, forwardedProto }: Transport,
  proxies: Networks,
): 'secure' | 'local' | 'clear' {
  if (encrypted) return 'secure'
  const address = peer?.replace(/^::ffff:(?=\d+\.)/i, '') ?? null
  if (proxies.includes(address) && forwardedProto !== undefined) {
    // Of several proxies the outermost stands first; one hop in clear is one too many.
    const hops = forwardedProto.split(',').map((hop) => hop.trim().toLowerCase())
    return hops.every((hop) => hop === 'https') ? 'secure' : 'clear'
  }
  return loopback.includes(address) || proxies.includes(address) ? 'local' : 'clear'
}

/**
 * Refuses what came in clear over a network, before anything of it is read: it is not redirected, because a token that
 * was sent has been seen. Tells browsers to come back by TLS alone.
 */
export function guardTransport(
  request: IncomingMessage,
  response: ServerResponse,
  { proxies, publicUrl }: { proxies: Networks; publicUrl: string },
): boolean {
  const came = judgeRequest(request, proxies)
  if (came === 'secure') response.setHeader('strict-transport-security', `max-age=${YEAR_SECONDS}`)
  if (came !== 'clear') return false
  const problem = new Problem(
    'tls-needed',
    'This server is reached by https only. Revoke the token if you sent one in clear.',
  )
  response.writeHead(403, { ...problemHeaders, connection: 'close' })
  response.end(JSON.stringify(toProblemDocument(problem, publicUrl, v7())))
  return true
}

/** What a proxy says holds for one request; without it, a connection is what it is for all of its requests. */
const judged = new WeakMap<Socket, ReturnType<typeof judgeTransport>>()

function judgeRequest(request: IncomingMessage, proxies: Networks): ReturnType<typeof judgeTransport> {
  const { socket } = request
  const forwardedProto = rawHeader(request, 'x-forwarded-proto')
  const known = forwardedProto === undefined ? judged.get(socket) : undefined
  if (known !== undefined) return known
  const facts = { encrypted: socket instanceof TLSSocket, peer: socket.remoteAddress, forwardedProto }
  const came = judgeTransport(facts, proxies)
  if (forwardedProto === undefined) judged.set(socket, came)
  return came
}
