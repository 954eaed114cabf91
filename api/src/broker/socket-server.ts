import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'

import type { Logger } from 'pino'
import { v7 } from 'uuid'

export type SocketRequest = {
  method: string
  path: string
  authorization: string | undefined
  body: Buffer
  requestId: string
}
/** `body` may hold a secret: it is sent and then zeroed. */
export type SocketAnswer = { status: number; body: Buffer }

export type SocketServerOptions = {
  maxBodyBytes: number
  log: Logger
  answer: (request: SocketRequest) => Promise<SocketAnswer>
}

export const jsonAnswer = (status: number, value: unknown): SocketAnswer => ({
  status,
  body: Buffer.from(JSON.stringify(value), 'utf8'),
})

/** HTTP for one Unix socket: small bodies, short waits, one answer a connection. Nothing of a body is ever logged. */
export function createSocketServer({ maxBodyBytes, log, answer }: SocketServerOptions): Server {
  const server = createServer((request, response) => {
    serve(request, response).catch(() => response.destroy())
  })

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const requestId = v7()
    const { status, body } = await respond(request, requestId).catch((error: unknown) => {
      log.error({ err: error, requestId, path: request.url }, 'request failed')
      return jsonAnswer(503, { code: 'broker-unavailable', message: 'The broker cannot answer now. Try again.' })
    })
    const headers = { 'content-type': 'application/json', 'cache-control': 'no-store', connection: 'close' }
    response.writeHead(status, { ...headers, 'content-length': body.length })
    response.end(body, () => body.fill(0))
  }

  async function respond(request: IncomingMessage, requestId: string): Promise<SocketAnswer> {
    const body = await readBody(request, maxBodyBytes)
    if (body === null) return jsonAnswer(413, { code: 'request-too-large', message: 'The request is too large.' })
    try {
      const { method = '', url = '', headers } = request
      return await answer({ method, path: url, authorization: headers.authorization, body, requestId })
    } finally {
      body.fill(0)
    }
  }

  server.headersTimeout = 5_000
  server.requestTimeout = 10_000
  server.maxRequestsPerSocket = 1
  return server
}

async function readBody(request: IncomingMessage, limit: number): Promise<Buffer | null> {
  const pieces: Buffer[] = []
  let size = 0
  for await (const piece of request as AsyncIterable<Buffer>) {
    size += piece.length
    if (size > limit) return null
    pieces.push(piece)
  }
  const body = Buffer.concat(pieces, size)
  for (const piece of pieces) piece.fill(0)
  return body
}

/** JSON of a body, or undefined when it is not JSON. */
export function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'))
  } catch {
    return undefined
  }
}
