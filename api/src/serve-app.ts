import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type ServerOptions,
  type ServerResponse,
} from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { serve, type ServerType } from '@hono/node-server'
import type { OpenAPIHono } from '@hono/zod-openapi'
import type { Env } from './auth/access.js'
import type { Networks } from './auth/client-address.js'
import { guardTransport } from './transport/guard-transport.js'
import type { Certificate } from './transport/read-certificate.js'
import { tlsSettings } from './transport/tls-settings.js'

/** Answers a request that it is made for, and says so; every other one is left to the framework. */
export type FirstListener = (request: IncomingMessage, response: ServerResponse) => boolean

export type ServeOptions = {
  host: string
  port: number
  /** How long the headers of a request may take. */
  headersMs?: number
  /** How long a whole request may take: as long as the largest artefact on a slow line. */
  requestMs?: number
  /** Asked before the framework. */
  first?: FirstListener
  /** Speaks TLS with it; without, plain http. */
  tls?: Certificate
  /** Refuses what came in clear over a network. */
  guard?: { proxies: Networks; publicUrl: string }
}

const HEADERS_MS = 10_000
const REQUEST_MS = 60 * 60_000
const CHECK_MS = 1_000
const MAX_HEADER_BYTES = 16 * 1024
const MAX_CONNECTIONS = 5_000

/** Listens, with limits on what a connection may cost before anybody has signed in. */
export function serveApp(app: OpenAPIHono<Env>, options: ServeOptions): Promise<ServerType> {
  const { host, port, headersMs = HEADERS_MS, requestMs = REQUEST_MS, tls } = options
  return new Promise((resolve, reject) => {
    const server = serve(
      {
        fetch: app.fetch,
        hostname: host,
        port,
        createServer: ((settings: ServerOptions, listener: RequestListener) => {
          const listen = listenFirst(options, listener)
          return tls ? createTlsServer({ ...settings, ...tlsSettings(tls) }, listen) : createServer(settings, listen)
        }) as typeof createServer,
        serverOptions: {
          headersTimeout: headersMs,
          requestTimeout: requestMs,
          keepAliveTimeout: 5_000,
          // Slow connections are looked for this often; the default of half a minute would outlive the limits above.
          connectionsCheckingInterval: Math.min(CHECK_MS, headersMs),
          maxHeaderSize: MAX_HEADER_BYTES,
        },
      },
      () => resolve(server),
    )
    server.maxConnections = MAX_CONNECTIONS
    server.once('error', reject)
  })
}

function listenFirst({ first, guard }: ServeOptions, listener: RequestListener): RequestListener {
  return (request, response) => {
    if (guard && guardTransport(request, response, guard)) return
    if (!first?.(request, response)) listener(request, response)
  }
}
