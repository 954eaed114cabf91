import { leases, withLookup, workers } from '@capstan/migrations'
import { and, eq, isNull } from 'drizzle-orm'
import type { Deps } from '../context.js'
import { Problem } from '../problems.js'
import { bearerOf } from './authenticate.js'
import { hashToken, kindOf } from './tokens.js'

export type WorkerIdentity = { workerId: string; tokenHash: string }
export type Lease = {
  id: string
  orgId: string
  jobId: string
  buildId: string
  attempt: number
  workerId: string
}

/** The worker behind a `cw_` token. */
export async function requireWorker(deps: Deps, authorization: string | undefined): Promise<WorkerIdentity> {
  const token = bearerOf(authorization)
  if (kindOf(token) !== 'cw') throw new Problem('token-invalid')
  const tokenHash = hashToken(deps.pepper, token)
  const [row] = await withLookup(deps.db, tokenHash, (tx) =>
    tx
      .update(workers)
      .set({ lastSeenAt: deps.now() })
      .where(and(eq(workers.tokenHash, tokenHash), isNull(workers.revokedAt)))
      .returning({ workerId: workers.id }),
  )
  if (!row) throw new Problem('token-invalid')
  return { ...row, tokenHash }
}

/**
 * The live lease behind a `cl_` token; 409 `lease-lost` once it has ended, as it does with its attempt, or expired. Whether
 * the attempt is still the current one is asked where that cannot change any more: by `holdLease`, in every operation.
 */
export async function requireLease(deps: Deps, authorization: string | undefined): Promise<Lease> {
  const token = bearerOf(authorization)
  if (kindOf(token) !== 'cl') throw new Problem('token-invalid')
  const tokenHash = hashToken(deps.pepper, token)
  const [known] = await withLookup(deps.db, tokenHash, (tx) =>
    tx
      .select({
        lease: {
          id: leases.id,
          orgId: leases.orgId,
          jobId: leases.jobId,
          buildId: leases.buildId,
          attempt: leases.attempt,
          workerId: leases.workerId,
        },
        endedAt: leases.endedAt,
        expiresAt: leases.expiresAt,
      })
      .from(leases)
      .where(eq(leases.tokenHash, tokenHash)),
  )
  if (!known) throw new Problem('token-invalid')
  if (known.endedAt !== null || known.expiresAt <= deps.now()) {
    throw new Problem('lease-lost', 'This attempt of the build is no longer yours; stop and clean up.')
  }
  return known.lease
}
