import {
  createHash,
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  sign,
  timingSafeEqual,
  verify,
  X509Certificate,
} from 'node:crypto'

import { credentials, credentialVersions, withOrg } from '@capstan/migrations'
import { and, eq } from 'drizzle-orm'
import { z } from 'zod'

import { recordAudit } from '../audit/record-audit.js'
import { openEnvelope } from '../vault/envelope.js'
import { EnvelopeError } from '../vault/envelope-context.js'
import type { Secret } from '../vault/secret.js'
import type { BrokerDeps } from './broker-deps.js'

/** `POST /canary` on the `seal` socket. The answer is yes or no: neither a key nor a signature leaves the broker. */
export const CanaryRequest = z.strictObject({
  org: z.uuid(),
  credential: z.uuid(),
  version: z.number().int().min(1),
  requestId: z.string().min(1).max(100),
})
export type CanaryRequest = z.infer<typeof CanaryRequest>

const Payload = z.object({ keyPkcs8B64: z.base64().min(1), chainDerB64: z.array(z.base64().min(1)) })
const DOMAIN = 'capstan-canary-v1\0'

/** Whether the stored version opens and its key signs what its certificate verifies. One audit event each time. */
export async function canarySign(deps: BrokerDeps, request: CanaryRequest): Promise<{ passed: boolean }> {
  const row = await loadVersion(deps, request)
  if (row === null) return { passed: false }
  const reason = await findFault(deps, request, row)
  const facts = { credentialId: request.credential, version: request.version, requestId: request.requestId }
  if (reason === null) deps.log.info(facts, 'canary signed')
  else deps.log.warn({ ...facts, reason }, 'canary failed')
  const by = { orgId: request.org, actor: { type: 'system' as const, id: 'broker' }, requestId: request.requestId }
  await withOrg(deps.db, request.org, (tx) =>
    recordAudit(tx, by, {
      action: reason === null ? 'credential.canary_signed' : 'credential.canary_failed',
      target: { app: row.appId, credential: request.credential },
      outcome: reason === null ? 'success' : 'refused',
      data: { version: request.version, fingerprint: row.fingerprint, ...(reason === null ? {} : { reason }) },
    }),
  )
  return { passed: reason === null }
}

type StoredVersion = { appId: string; kind: string; fingerprint: string; envelope: Uint8Array | null }

async function loadVersion(deps: BrokerDeps, request: CanaryRequest): Promise<StoredVersion | null> {
  const [row] = await withOrg(deps.db, request.org, (tx) =>
    tx
      .select({
        appId: credentials.appId,
        kind: credentials.kind,
        fingerprint: credentialVersions.fingerprintSha256,
        envelope: credentialVersions.envelope,
      })
      .from(credentials)
      .innerJoin(credentialVersions, eq(credentialVersions.credentialId, credentials.id))
      .where(and(eq(credentials.id, request.credential), eq(credentialVersions.version, request.version))),
  )
  return row ?? null
}

type Fault = 'destroyed' | 'does-not-open' | 'no-key' | 'another-certificate' | 'signature-differs'

async function findFault(deps: BrokerDeps, request: CanaryRequest, row: StoredVersion): Promise<Fault | null> {
  if (row.envelope === null) return 'destroyed'
  const { org, credential, version } = request
  const ctx = { org, app: row.appId, credential, kind: row.kind, version: String(version) }
  try {
    using payload = await openEnvelope(deps.keys, ctx, row.envelope)
    return tryKey(payload, row.fingerprint, `${DOMAIN}${org}\0${credential}\0${version}`)
  } catch (error) {
    if (error instanceof EnvelopeError) return 'does-not-open'
    throw error
  }
}

/** The message is fixed and of this use alone: it is neither an app nor a statement that anybody would take. */
function tryKey(payload: Secret, fingerprint: string, message: string): Fault | null {
  const pair = readPair(payload)
  if (pair === null) return 'no-key'
  if (!timingSafeEqual(Buffer.from(fingerprint, 'hex'), sha256(pair.identity))) return 'another-certificate'
  const bytes = Buffer.from(message, 'utf8')
  const digest = pair.key.asymmetricKeyType === 'ed25519' ? null : 'sha256'
  return verify(digest, bytes, pair.publicKey, sign(digest, bytes, pair.key)) ? null : 'signature-differs'
}

type Pair = { key: KeyObject; publicKey: KeyObject; identity: Buffer }

/** The fingerprint is of the key's own certificate; of the public key where the kind has no certificate. */
function readPair(payload: Secret): Pair | null {
  try {
    const { keyPkcs8B64, chainDerB64 } = payload.use((bytes) => Payload.parse(JSON.parse(bytes.toString('utf8'))))
    const key = createPrivateKey({ key: Buffer.from(keyPkcs8B64, 'base64'), format: 'der', type: 'pkcs8' })
    const [own] = chainDerB64
    if (own !== undefined) {
      const certificate = new X509Certificate(Buffer.from(own, 'base64'))
      return { key, publicKey: certificate.publicKey, identity: certificate.raw }
    }
    const publicKey = createPublicKey(key)
    return { key, publicKey, identity: publicKey.export({ format: 'der', type: 'spki' }) }
  } catch {
    return null
  }
}

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest()
