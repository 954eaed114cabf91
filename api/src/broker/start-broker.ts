import type { Server } from 'node:http'

import { OpenCredentialRequest, OpenSecretsRequest } from '@capstan/migrations/messages'
import { sql } from 'drizzle-orm'
import type { z } from 'zod'

import { answerAdmin } from './answer-admin.js'
import { EnvelopeError } from '../vault/envelope-context.js'
import type { BrokerDeps } from './broker-deps.js'
import { destroyKeys } from './destroy-keys.js'
import { DestroyCredentialRequest, DestroyOrganizationRequest, type DestroyRequest } from './destroy-request.js'
import { canarySign, CanaryRequest } from './canary-sign.js'
import { listenOnSocket } from './listen-on-socket.js'
import { openCredential, OpenRefused } from './open-credential.js'
import { openSecrets } from './open-secrets.js'
import { sealCredential } from './seal-credential.js'
import { ProvenanceRequest, signProvenance } from './sign-provenance.js'
import { MAX_PAYLOAD_BYTES, SealRequest } from './seal-request.js'
import { shredKeys, ShredRequest } from './shred-keys.js'
import { createSocketServer, jsonAnswer, parseJson, type SocketAnswer, type SocketRequest } from './socket-server.js'

export type BrokerSockets = { sealSocket: string; openSocket: string; adminSocket: string }
export type Broker = AsyncDisposable & { sockets: BrokerSockets }

const REFUSED = { code: 'open-refused', message: 'The credential cannot be opened.' }
const NOT_FOUND = { code: 'not-found', message: 'There is nothing at this address.' }
const MAX_SMALL_REQUEST_BYTES = 16 * 1024

/**
 * Three sockets, so that file permissions split the rights: who may connect to `seal` can encrypt and destroy, who may
 * connect to `open` can ask to decrypt and still needs a live lease, and `admin`, the owner's alone, renews keys.
 */
export async function startBroker(deps: BrokerDeps, sockets: BrokerSockets): Promise<Broker> {
  const { log } = deps
  // A payload is base64 in JSON; half as much again leaves room for the rest.
  const sealLimit = Math.ceil(MAX_PAYLOAD_BYTES * 1.5)
  const seal = createSocketServer({ maxBodyBytes: sealLimit, log, answer: (request) => answerSeal(deps, request) })
  const small = { maxBodyBytes: MAX_SMALL_REQUEST_BYTES, log }
  const open = createSocketServer({ ...small, answer: (request) => answerOpen(deps, request) })
  const admin = createSocketServer({ ...small, answer: (request) => answerAdmin(deps, request) })
  const listening: Server[] = []
  const closeAll = async () => void (await Promise.all(listening.map(close)))
  try {
    await listenOnSocket(seal, sockets.sealSocket, 'BROKER_SEAL_SOCKET')
    listening.push(seal)
    await listenOnSocket(open, sockets.openSocket, 'BROKER_OPEN_SOCKET')
    listening.push(open)
    await listenOnSocket(admin, sockets.adminSocket, 'BROKER_ADMIN_SOCKET', 0o600)
    listening.push(admin)
  } catch (error) {
    await closeAll()
    throw error
  }
  return { sockets, [Symbol.asyncDispose]: closeAll }
}

async function answerSeal(deps: BrokerDeps, request: SocketRequest): Promise<SocketAnswer> {
  const { method, path, body } = request
  if (method === 'GET' && path === '/health') {
    await deps.db.execute(sql`select 1`)
    return jsonAnswer(200, await deps.keys.health())
  }
  if (method === 'GET' && path === '/deletion-key') {
    const { keyId, publicKeyPem } = deps.deletionSigner
    return jsonAnswer(200, { keyId, publicKey: publicKeyPem })
  }
  if (method === 'GET' && path === '/checkpoint-key') return jsonAnswer(200, { publicKey: deps.checkpointKeyPem })
  if (method === 'POST' && path === '/destroy') return answerDestroy(deps, request, DestroyCredentialRequest)
  if (method === 'POST' && path === '/destroy-organization') {
    return answerDestroy(deps, request, DestroyOrganizationRequest)
  }
  if (method === 'POST' && path === '/canary') return answerCanary(deps, body)
  if (method === 'POST' && path === '/provenance') return answerProvenance(deps, body)
  if (method === 'GET' && path === '/provenance-key') {
    const signer = deps.provenance?.signer
    return jsonAnswer(200, { key: signer ? { keyId: signer.keyId, publicKeyPem: signer.publicKeyPem } : null })
  }
  if (method === 'POST' && path === '/shred') return answerShred(deps, body)
  if (method !== 'POST' || path !== '/seal') return jsonAnswer(404, NOT_FOUND)
  const parsed = SealRequest.safeParse(parseJson(body))
  const sealed = parsed.success ? await sealCredential(deps.keys, parsed.data).catch(asDestroyed) : null
  if (sealed === null) {
    return jsonAnswer(422, { code: 'request-invalid', message: 'This is not something the broker can seal.' })
  }
  if (sealed === 'destroyed') {
    return jsonAnswer(409, { code: 'key-destroyed', message: 'The key of this credential is destroyed for good.' })
  }
  return jsonAnswer(200, sealed)
}

async function answerDestroy(
  deps: BrokerDeps,
  { body, requestId }: SocketRequest,
  Request: z.ZodType<DestroyRequest>,
): Promise<SocketAnswer> {
  const parsed = Request.safeParse(parseJson(body))
  if (!parsed.success) {
    return jsonAnswer(422, { code: 'request-invalid', message: 'This is not something the broker can destroy.' })
  }
  const destroyed = await destroyKeys(deps, parsed.data, requestId)
  if (destroyed === null) {
    return jsonAnswer(404, { code: 'key-not-found', message: 'The organization has no such credential.' })
  }
  return jsonAnswer(200, destroyed)
}

async function answerCanary(deps: BrokerDeps, body: Buffer): Promise<SocketAnswer> {
  const parsed = CanaryRequest.safeParse(parseJson(body))
  if (parsed.success) return jsonAnswer(200, await canarySign(deps, parsed.data))
  return jsonAnswer(422, { code: 'request-invalid', message: 'This is not something the broker can try.' })
}

async function answerProvenance(deps: BrokerDeps, body: Buffer): Promise<SocketAnswer> {
  const parsed = ProvenanceRequest.safeParse(parseJson(body))
  if (parsed.success) return jsonAnswer(200, { envelope: await signProvenance(deps, parsed.data) })
  return jsonAnswer(422, { code: 'request-invalid', message: 'This is not something the broker can state.' })
}

async function answerShred(deps: BrokerDeps, body: Buffer): Promise<SocketAnswer> {
  const parsed = ShredRequest.safeParse(parseJson(body))
  if (!parsed.success) {
    return jsonAnswer(422, { code: 'request-invalid', message: 'This is not something the broker can destroy.' })
  }
  if (await shredKeys(deps, parsed.data)) return jsonAnswer(200, {})
  return jsonAnswer(404, { code: 'key-not-found', message: 'The organization has no such owner of secrets.' })
}

async function answerOpen(deps: BrokerDeps, request: SocketRequest): Promise<SocketAnswer> {
  const { method, path, authorization, requestId } = request
  if (method !== 'POST' || (path !== '/open' && path !== '/open-secrets')) return jsonAnswer(404, NOT_FOUND)
  const token = /^Bearer (\w{1,100})$/.exec(authorization ?? '')?.[1] ?? null
  try {
    const body = path === '/open' ? await open(deps, request, token) : await openOthers(deps, request, token)
    if (body !== null) return { status: 200, body }
    deps.log.warn({ reason: 'request-malformed', requestId }, 'credential use refused')
  } catch (error) {
    if (!(error instanceof OpenRefused)) throw error
  }
  return jsonAnswer(403, REFUSED)
}

async function open(
  deps: BrokerDeps,
  { body, requestId }: SocketRequest,
  token: string | null,
): Promise<Buffer | null> {
  const parsed = OpenCredentialRequest.safeParse(parseJson(body))
  if (!parsed.success) return null
  using payload = await openCredential(deps, { token, request: parsed.data, requestId })
  return payload.use((bytes) => Buffer.from(bytes))
}

async function openOthers(
  deps: BrokerDeps,
  { body, requestId }: SocketRequest,
  token: string | null,
): Promise<Buffer | null> {
  const parsed = OpenSecretsRequest.safeParse(parseJson(body))
  return parsed.success ? openSecrets(deps, { token, request: parsed.data, requestId }) : null
}

function asDestroyed(error: unknown): 'destroyed' {
  if (error instanceof EnvelopeError && error.reason === 'key-destroyed') return 'destroyed'
  throw error
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeIdleConnections()
  })
}
