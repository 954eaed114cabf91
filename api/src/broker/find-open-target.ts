import { credentials, credentialVersions, type Transaction } from '@capstan/migrations'
import type { OpenCredentialRequest } from '@capstan/migrations/messages'
import { and, eq } from 'drizzle-orm'
import type { BrokerDeps } from './broker-deps.js'
import { judgeLease, type LeaseFacts, type LeaseRefusal, lockLease } from './lock-lease.js'

/** Why a credential is not opened. For the log and the audit trail; the caller always sees the same answer. */
export type RefusalReason =
  | LeaseRefusal
  | 'step-signs-nothing'
  | 'credential-not-chosen'
  | 'credential-of-another-app'
  | 'credential-deleted'
  | 'credential-version-retired'
  | 'already-opened'

export type OpenTarget = LeaseFacts & {
  credential: typeof credentials.$inferSelect
  version: typeof credentialVersions.$inferSelect & { envelope: Uint8Array }
}
export type OpenDecision =
  | { lease: LeaseFacts | null; refusal: RefusalReason }
  | { lease: LeaseFacts; refusal: null; target: OpenTarget }

/** Decides from Postgres alone whether this lease may open this credential; what the worker says is only compared. */
export async function findOpenTarget(
  tx: Transaction,
  deps: Pick<BrokerDeps, 'pepper' | 'now'>,
  { tokenHash, request }: { tokenHash: string; request: OpenCredentialRequest },
): Promise<OpenDecision> {
  const attempt = await lockLease(tx, tokenHash)
  if (attempt === null) return { lease: null, refusal: 'lease-ended' }
  const { facts, build } = attempt
  const refuse = (refusal: RefusalReason) => ({ lease: facts, refusal })
  const refusal = judgeLease(deps, attempt, request.attempt)
  if (refusal !== null) return refuse(refusal)
  if (request.step !== 'sign') return refuse('step-signs-nothing')
  if (build.credentialId !== request.credentialId || build.credentialVersion !== request.credentialVersion) {
    return refuse('credential-not-chosen')
  }
  const [found] = await tx
    .select({ credential: credentials, version: credentialVersions })
    .from(credentials)
    .innerJoin(
      credentialVersions,
      and(eq(credentialVersions.credentialId, credentials.id), eq(credentialVersions.orgId, credentials.orgId)),
    )
    .where(and(eq(credentials.id, request.credentialId), eq(credentialVersions.version, request.credentialVersion)))
  if (found === undefined) return refuse('credential-deleted')
  if (found.credential.appId !== build.appId) return refuse('credential-of-another-app')
  const { credential, version } = found
  const { envelope, status } = version
  // A build in flight keeps the version it was given while that one retires.
  if (envelope === null || (status !== 'active' && status !== 'retiring')) return refuse('credential-version-retired')
  return { lease: facts, refusal: null, target: { ...facts, credential, version: { ...version, envelope } } }
}
