import {
  buildSources,
  findOrgOf,
  gitConnections,
  sealedValues,
  secretOpens,
  type Transaction,
  withOrg,
} from '@capstan/migrations'
import type { OpenSecretsRequest } from '@capstan/migrations/messages'
import { and, eq, or } from 'drizzle-orm'

import { recordAudit } from '../audit/record-audit.js'
import { hashToken, kindOf } from '../auth/tokens.js'
import { contextOfValue } from '../sealed-values/context-of-value.js'
import { openEnvelope } from '../vault/envelope.js'
import { EnvelopeError } from '../vault/envelope-context.js'
import type { BrokerDeps } from './broker-deps.js'
import { judgeLease, type LeaseFacts, type LeaseRefusal, lockLease } from './lock-lease.js'
import { OpenRefused } from './open-credential.js'

type Refusal = LeaseRefusal | 'already-opened' | 'nothing-sealed'
type Sealed = typeof sealedValues.$inferSelect
type Decision = { lease: LeaseFacts | null; refusal: Refusal } | { lease: LeaseFacts; refusal: null; sealed: Sealed[] }

export type OpenSecretsCall = { token: string | null; request: OpenSecretsRequest; requestId: string }

/**
 * Opens what a build needs beside its signing credential, for one live lease, each purpose once: decide → record the
 * opening and its audit event → decrypt. Answers the JSON that the worker protocol names.
 */
export async function openSecrets(deps: BrokerDeps, call: OpenSecretsCall): Promise<Buffer> {
  const { token, request } = call
  if (token === null || kindOf(token) !== 'cl') return refuseUnknown(deps, call, 'token-malformed')
  const tokenHash = hashToken(deps.pepper, token)
  const orgId = await findOrgOf(deps.db, 'lease', tokenHash)
  if (orgId === null) return refuseUnknown(deps, call, 'lease-unknown')
  // A root key that cannot be reached is found out before the one opening of this lease is spent.
  await deps.keys.prepare(orgId).catch((error: unknown) => {
    if (!(error instanceof EnvelopeError)) throw error
  })
  const decision = await withOrg(deps.db, orgId, async (tx): Promise<Decision> => {
    const decided = await decide(tx, deps, { tokenHash, request })
    if (decided.refusal !== null) return decided
    const { lease, sealed } = decided
    const [opening] = await tx
      .insert(secretOpens)
      .values({ orgId, leaseId: lease.leaseId, purpose: request.purpose })
      .onConflictDoNothing()
      .returning({ leaseId: secretOpens.leaseId })
    if (opening === undefined) return { lease, refusal: 'already-opened' }
    await recordAudit(tx, auditorOf(orgId, lease, call), {
      action: 'build.secrets_opened',
      target: { app: lease.appId, build: lease.buildId },
      data: { purpose: request.purpose, attempt: lease.attempt, worker: lease.workerName },
      personal: { names: namesOf(sealed) },
    })
    return decided
  })
  if (decision.refusal !== null) return refuse(deps, call, { orgId, ...decision })
  return decrypt(deps, call, { orgId, ...decision })
}

async function decide(
  tx: Transaction,
  deps: BrokerDeps,
  { tokenHash, request }: { tokenHash: string; request: OpenSecretsRequest },
): Promise<Decision> {
  const attempt = await lockLease(tx, tokenHash)
  if (attempt === null) return { lease: null, refusal: 'lease-ended' }
  const { facts: lease, build } = attempt
  const refusal = judgeLease(deps, attempt, request.attempt)
  if (refusal !== null) return { lease, refusal }
  const sealed =
    request.purpose === 'variables'
      ? await tx
          .select()
          .from(sealedValues)
          .where(or(eq(sealedValues.buildId, build.id), ofEnvironment(build)))
      : await findConnectionSecret(tx, build)
  return sealed.length === 0 ? { lease, refusal: 'nothing-sealed' } : { lease, refusal: null, sealed }
}

function ofEnvironment({ environmentId, appId }: { environmentId: string | null; appId: string }) {
  if (environmentId === null) return undefined
  return and(eq(sealedValues.environmentId, environmentId), eq(sealedValues.appId, appId))
}

async function findConnectionSecret(tx: Transaction, build: { buildSourceId: string | null }): Promise<Sealed[]> {
  if (build.buildSourceId === null) return []
  const rows = await tx
    .select({ sealed: sealedValues })
    .from(buildSources)
    .innerJoin(gitConnections, eq(gitConnections.id, buildSources.gitConnectionId))
    .innerJoin(sealedValues, eq(sealedValues.gitConnectionId, gitConnections.id))
    .where(eq(buildSources.id, build.buildSourceId))
  return rows.map(({ sealed }) => sealed)
}

type Granted = { orgId: string; lease: LeaseFacts; sealed: Sealed[] }

async function decrypt(deps: BrokerDeps, call: OpenSecretsCall, { orgId, lease, sealed }: Granted): Promise<Buffer> {
  const { request } = call
  try {
    const opened = new Map<string, string>()
    // What the build itself brings comes last, over the environment's.
    for (const value of sealed.toSorted(
      (one, other) => Number(one.buildId !== null) - Number(other.buildId !== null),
    )) {
      // Rebuilt from the row and the organization of the lease: an envelope moved here from elsewhere does not open.
      using secret = await openEnvelope(deps.keys, contextOfValue({ ...value, orgId }), value.envelope)
      opened.set(
        value.name,
        secret.use((bytes) => bytes.toString('utf8')),
      )
      if (value.buildId === null) continue
      const adHoc = JSON.parse(opened.get(value.name) ?? '{}') as Record<string, string>
      opened.delete(value.name)
      for (const [name, text] of Object.entries(adHoc)) opened.set(name, text)
    }
    deps.log.info({ ...logFacts(call, lease), orgId, purpose: request.purpose }, 'secrets opened')
    if (request.purpose === 'variables') return Buffer.from(JSON.stringify({ variables: Object.fromEntries(opened) }))
    return Buffer.from([...opened.values()][0] ?? '')
  } catch (error) {
    if (!(error instanceof EnvelopeError)) throw error
    deps.log.error({ ...logFacts(call, lease), orgId, reason: error.reason }, 'a secret does not decrypt')
    await withOrg(deps.db, orgId, (tx) =>
      recordAudit(tx, auditorOf(orgId, lease, call), {
        action: 'build.secrets_decrypt_failed',
        target: { app: lease.appId, build: lease.buildId },
        outcome: 'refused',
        data: { reason: error.reason, purpose: request.purpose, attempt: lease.attempt },
      }),
    )
    throw new OpenRefused()
  }
}

/** No organization is known: there is no chain to write to. */
function refuseUnknown(deps: BrokerDeps, { requestId }: OpenSecretsCall, reason: string): never {
  deps.log.warn({ reason, requestId }, 'secrets refused')
  throw new OpenRefused()
}

type Refused = { orgId: string; lease: LeaseFacts | null; refusal: Refusal }

async function refuse(deps: BrokerDeps, call: OpenSecretsCall, { orgId, lease, refusal }: Refused): Promise<never> {
  deps.log.warn({ reason: refusal, orgId, ...logFacts(call, lease) }, 'secrets refused')
  await withOrg(deps.db, orgId, (tx) =>
    recordAudit(tx, auditorOf(orgId, lease, call), {
      action: 'build.secrets_refused',
      target: lease ? { app: lease.appId, build: lease.buildId } : {},
      outcome: 'refused',
      data: { reason: refusal, purpose: call.request.purpose, attempt: call.request.attempt },
    }),
  )
  throw new OpenRefused()
}

/** Of an environment by the variables' names; what a build brings is one value whose names stand in `build.created`. */
const namesOf = (sealed: Sealed[]) => sealed.map(({ name }) => name).sort()

function auditorOf(orgId: string, lease: LeaseFacts | null, { requestId }: OpenSecretsCall) {
  const actor = {
    type: 'worker' as const,
    id: lease?.workerId ?? 'unknown',
    ...(lease && { via: { type: 'lease' as const, id: lease.leaseId } }),
  }
  return { orgId, actor, requestId }
}

function logFacts({ requestId }: OpenSecretsCall, lease: LeaseFacts | null) {
  return { requestId, buildId: lease?.buildId, attempt: lease?.attempt, worker: lease?.workerName }
}
