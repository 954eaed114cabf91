import { credentialVersions, withOrg } from '@capstan/migrations'
import { count, isNotNull } from 'drizzle-orm'
import { z } from 'zod'

import { recordAudit } from '../audit/record-audit.js'
import { EnvelopeError } from '../vault/envelope-context.js'
import type { BrokerDeps } from './broker-deps.js'
import { destroyKeys } from './destroy-keys.js'
import { DestroyRequest } from './destroy-request.js'
import { rewrapOrganization } from './rewrap-organization.js'
import { jsonAnswer, parseJson, type SocketAnswer, type SocketRequest } from './socket-server.js'

const BATCH = 500
const RotateRequest = z.strictObject({ org: z.uuid() })
const RewrapRequest = z.strictObject({
  org: z.uuid(),
  cursor: z.uuid().nullable().default(null),
  limit: z.number().int().min(1).max(5000).default(BATCH),
})
const RewrapRootRequest = z.strictObject({ org: z.uuid() })

type Answer = (deps: BrokerDeps, body: unknown, requestId: string) => Promise<unknown>
class NothingThere extends Error {
  override name = 'NothingThere' as const
}

/** What the `admin` socket can be asked. None of it decrypts a credential. */
const answers: Record<string, Answer> = {
  'GET /status': async (deps) => describeKeys(deps),
  'POST /rotate': (deps, body, requestId) => rotate(deps, RotateRequest.parse(body).org, requestId),
  'POST /rewrap': async (deps, body, requestId) => {
    const request = RewrapRequest.parse(body)
    await requireOrganization(deps, request.org)
    return rewrapOrganization(deps, { ...request, requestId })
  },
  'POST /rewrap-root': async (deps, body) => {
    const { org } = RewrapRootRequest.parse(body)
    return { moved: await deps.keys.rewrapRoot(org), root: deps.keys.rootId }
  },
  'POST /destroy': async (deps, body, requestId) => {
    const destroyed = await destroyKeys(deps, DestroyRequest.parse(body), requestId)
    if (destroyed === null) throw new NothingThere('The organization has no such credential.')
    return destroyed
  },
  'GET /backup': async (deps) => deps.keys.backup(),
}

export async function answerAdmin(deps: BrokerDeps, request: SocketRequest): Promise<SocketAnswer> {
  const answer = answers[`${request.method} ${request.path}`]
  if (answer === undefined) {
    return jsonAnswer(404, { code: 'not-found', message: 'There is nothing at this address.' })
  }
  try {
    return jsonAnswer(200, await answer(deps, parseJson(request.body), request.requestId))
  } catch (error) {
    if (error instanceof z.ZodError) {
      const [issue] = error.issues
      const message = `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'the request cannot be read'}.`
      return jsonAnswer(422, { code: 'request-invalid', message })
    }
    if (error instanceof NothingThere) return jsonAnswer(404, { code: 'key-not-found', message: error.message })
    if (error instanceof EnvelopeError) {
      const message =
        error.reason === 'key-destroyed'
          ? 'The keys of this organization are destroyed; nothing can be done with them.'
          : 'A record of the key store does not open: restore the key store from its backup, or give the broker the root key it was made with.'
      return jsonAnswer(409, { code: error.reason === 'key-destroyed' ? 'key-destroyed' : 'key-unreadable', message })
    }
    throw error
  }
}

async function requireOrganization({ keys }: BrokerDeps, org: string): Promise<void> {
  if (!(await keys.organizations()).includes(org)) throw new NothingThere('The key store has no such organization.')
}

async function rotate(deps: BrokerDeps, org: string, requestId: string) {
  await requireOrganization(deps, org)
  const keyVersion = await deps.keys.rotate(org)
  await withOrg(deps.db, org, (tx) =>
    recordAudit(
      tx,
      { orgId: org, actor: { type: 'system', id: 'broker' }, requestId },
      {
        action: 'organization_key.rotated',
        target: { organization: org },
        data: { keyVersion, root: deps.keys.rootId },
      },
    ),
  )
  return { org, keyVersion }
}

async function describeKeys({ db, keys, deletionSigner, keyStoreRetentionDays }: BrokerDeps) {
  const organizations = await Promise.all(
    (await keys.organizations()).map(async (org) => (await keys.describe(org)) ?? { org, destroyed: true }),
  )
  const { orgId: org, kekId, kekVersion } = credentialVersions
  // Row-level security lets the broker see the versions of every organization, and nothing else of them.
  const rows = await db
    .select({ org, kekId, kekVersion, count: count() })
    .from(credentialVersions)
    .where(isNotNull(credentialVersions.envelope))
    .groupBy(org, kekId, kekVersion)
    .orderBy(org, kekId, kekVersion)
  const deletionKey = { keyId: deletionSigner.keyId, publicKey: deletionSigner.publicKeyPem }
  return { root: keys.rootId, organizations, rows, deletionKey, keyStoreRetentionDays }
}
