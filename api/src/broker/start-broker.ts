import type { Server } from 'node:http'

import { OpenCredentialRequest } from '@capstan/migrations/messages'
import { sql } from 'drizzle-orm'

import type { BrokerDeps } from './broker-deps.js'
import { listenOnSocket } from './listen-on-socket.js'
import { openCredential, OpenRefused } from './open-credential.js'
import { sealCredential } from './seal-credential.js'
import { MAX_PAYLOAD_BYTES, SealRequest } from './seal-request.js'
import { createSocketServer, jsonAnswer, parseJson, type SocketAnswer, type SocketRequest } from './socket-server.js'

export type BrokerSockets = { sealSocket: string; openSocket: string }
export type Broker = AsyncDisposable & { sockets: BrokerSockets }

const REFUSED = { code: 'open-refused', message: 'The credential cannot be opened.' }
const NOT_FOUND = { code: 'not-found', message: 'There is nothing at this address.' }
const MAX_OPEN_REQUEST_BYTES = 16 * 1024

/**
 * Two sockets, so that file permissions split the rights: who may connect to `seal` can encrypt, who may connect to
 * `open` can ask to decrypt and still needs a live lease.
 */
export async function startBroker(deps: BrokerDeps, sockets: BrokerSockets): Promise<Broker> {
  const { log } = deps
  // A payload is base64 in JSON; half as much again leaves room for the rest.
  const sealLimit = Math.ceil(MAX_PAYLOAD_BYTES * 1.5)
  const seal = createSocketServer({ maxBodyBytes: sealLimit, log, answer: (request) => answerSeal(deps, request) })
  const open = createSocketServer({
    maxBodyBytes: MAX_OPEN_REQUEST_BYTES,
    log,
    answer: (request) => answerOpen(deps, request),
  })
  await listenOnSocket(seal, sockets.sealSocket, 'BROKER_SEAL_SOCKET')
  try {
    await listenOnSocket(open, sockets.openSocket, 'BROKER_OPEN_SOCKET')
  } catch (error) {
    await close(seal)
    throw error
  }
  return { sockets, [Symbol.asyncDispose]: async () => void (await Promise.all([close(seal), close(open)])) }
}

async function answerSeal(deps: BrokerDeps, { method, path, body }: SocketRequest): Promise<SocketAnswer> {
  if (method === 'GET' && path === '/health') {
    await deps.db.execute(sql`select 1`)
    return jsonAnswer(200, await deps.keys.health())
  }
  if (method !== 'POST' || path !== '/seal') return jsonAnswer(404, NOT_FOUND)
  const parsed = SealRequest.safeParse(parseJson(body))
  const sealed = parsed.success ? await sealCredential(deps.keys, parsed.data) : null
  if (sealed === null) {
    return jsonAnswer(422, { code: 'request-invalid', message: 'This is not something the broker can seal.' })
  }
  return jsonAnswer(200, sealed)
}

async function answerOpen(deps: BrokerDeps, request: SocketRequest): Promise<SocketAnswer> {
  const { method, path, authorization, body, requestId } = request
  if (method !== 'POST' || path !== '/open') return jsonAnswer(404, NOT_FOUND)
  const parsed = OpenCredentialRequest.safeParse(parseJson(body))
  if (!parsed.success) {
    deps.log.warn({ reason: 'request-malformed', requestId }, 'credential use refused')
    return jsonAnswer(403, REFUSED)
  }
  const token = /^Bearer (\w{1,100})$/.exec(authorization ?? '')?.[1] ?? null
  try {
    using payload = await openCredential(deps, { token, request: parsed.data, requestId })
    return { status: 200, body: payload.use((bytes) => Buffer.from(bytes)) }
  } catch (error) {
    if (error instanceof OpenRefused) return jsonAnswer(403, REFUSED)
    throw error
  }
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeIdleConnections()
  })
}
