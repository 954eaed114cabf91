import { credentialOpens, findOrgOf, withOrg } from '@capstan/migrations'
import type { OpenCredentialRequest } from '@capstan/migrations/messages'

import { recordAudit } from '../audit/record-audit.js'
import { hashToken, kindOf } from '../auth/tokens.js'
import { openEnvelope } from '../vault/envelope.js'
import { EnvelopeError } from '../vault/envelope-context.js'
import type { Secret } from '../vault/secret.js'
import type { BrokerDeps } from './broker-deps.js'
import { findOpenTarget, type OpenTarget, type RefusalReason } from './find-open-target.js'
import type { LeaseFacts } from './lock-lease.js'

/** Every refusal looks the same from outside. */
export class OpenRefused extends Error {
  override name = 'OpenRefused' as const
  constructor() {
    super('The credential cannot be opened.')
  }
}

export type OpenCall = { token: string | null; request: OpenCredentialRequest; requestId: string }

/** Opens one credential version for one live lease, once: decide → record the opening and its audit event → decrypt. */
export async function openCredential(deps: BrokerDeps, call: OpenCall): Promise<Secret> {
  const { token, request } = call
  if (token === null || kindOf(token) !== 'cl') return refuseUnknown(deps, call, 'token-malformed')
  const tokenHash = hashToken(deps.pepper, token)
  const orgId = await findOrgOf(deps.db, 'lease', tokenHash)
  if (orgId === null) return refuseUnknown(deps, call, 'lease-unknown')
  // A root key that cannot be reached is found out before the one opening of this lease is spent.
  await deps.keys.prepare(orgId).catch(ignoreUnreadable)

  const decision = await withOrg(deps.db, orgId, async (tx) => {
    const decision = await findOpenTarget(tx, deps, { tokenHash, request })
    if (decision.refusal !== null) return decision
    const { target } = decision
    const [opening] = await tx
      .insert(credentialOpens)
      .values({ orgId, leaseId: target.leaseId, credentialVersionId: target.version.id, step: request.step })
      .onConflictDoNothing()
      .returning({ leaseId: credentialOpens.leaseId })
    if (opening === undefined) return { lease: decision.lease, refusal: 'already-opened' as const }
    await recordAudit(tx, auditorOf(orgId, target, call), {
      action: 'credential.used',
      target: { credential: target.credential.id, build: target.buildId },
      data: {
        version: target.version.version,
        fingerprint: target.version.fingerprintSha256,
        attempt: target.attempt,
        worker: target.workerName,
        step: request.step,
      },
    })
    return decision
  })
  if (decision.refusal !== null) return refuse(deps, call, { orgId, ...decision })
  return decrypt(deps, call, orgId, decision.target)
}

async function decrypt(deps: BrokerDeps, call: OpenCall, orgId: string, target: OpenTarget): Promise<Secret> {
  const { credential, version } = target
  // Rebuilt from the rows of the lease's organization: an envelope moved here from elsewhere does not open.
  const ctx = {
    org: orgId,
    app: target.appId,
    credential: credential.id,
    kind: credential.kind,
    version: String(version.version),
  }
  try {
    const secret = await openEnvelope(deps.keys, ctx, version.envelope)
    deps.log.info({ ...logFacts(call, target), orgId, credentialId: credential.id }, 'credential opened')
    return secret
  } catch (error) {
    if (!(error instanceof EnvelopeError)) throw error
    const facts = { ...logFacts(call, target), orgId, credentialId: credential.id, reason: error.reason }
    deps.log.error(facts, 'credential does not decrypt')
    await withOrg(deps.db, orgId, (tx) =>
      recordAudit(tx, auditorOf(orgId, target, call), {
        action: 'credential.decrypt_failed',
        target: { credential: credential.id, build: target.buildId },
        outcome: 'refused',
        data: { reason: error.reason, version: version.version, attempt: target.attempt },
      }),
    )
    throw new OpenRefused()
  }
}

/** What does not open is refused, with its event, where it is used. */
function ignoreUnreadable(error: unknown): void {
  if (!(error instanceof EnvelopeError)) throw error
}

/** No organization is known: there is no chain to write to. */
function refuseUnknown(deps: BrokerDeps, call: OpenCall, reason: string): never {
  deps.log.warn({ reason, requestId: call.requestId }, 'credential use refused')
  throw new OpenRefused()
}

type Refusal = { orgId: string; lease: LeaseFacts | null; refusal: RefusalReason }

async function refuse(deps: BrokerDeps, call: OpenCall, { orgId, lease, refusal }: Refusal): Promise<never> {
  deps.log.warn({ reason: refusal, orgId, ...logFacts(call, lease) }, 'credential use refused')
  await withOrg(deps.db, orgId, (tx) =>
    recordAudit(tx, auditorOf(orgId, lease, call), {
      action: 'credential.use_refused',
      target: { credential: call.request.credentialId, ...(lease && { build: lease.buildId }) },
      outcome: 'refused',
      data: { reason: refusal, attempt: call.request.attempt, step: call.request.step },
    }),
  )
  throw new OpenRefused()
}

function auditorOf(orgId: string, lease: LeaseFacts | null, { requestId }: OpenCall) {
  const actor = {
    type: 'worker' as const,
    id: lease?.workerId ?? 'unknown',
    ...(lease && { via: { type: 'lease' as const, id: lease.leaseId } }),
  }
  return { orgId, actor, requestId }
}

function logFacts({ requestId, request }: OpenCall, lease: LeaseFacts | null) {
  return { requestId, step: request.step, buildId: lease?.buildId, attempt: lease?.attempt, worker: lease?.workerName }
}
