import { jobs, leases, withLookup, withOrg, workers } from '@capstan/migrations'
import { and, eq, gt, isNull } from 'drizzle-orm'
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

/** The live lease behind a `cl_` token; 409 `lease-lost` once it has ended, expired or been superseded. */
export async function requireLease(deps: Deps, authorization: string | undefined): Promise<Lease> {
  const token = bearerOf(authorization)
  if (kindOf(token) !== 'cl') throw new Problem('token-invalid')
  const tokenHash = hashToken(deps.pepper, token)
  const [known] = await withLookup(deps.db, tokenHash, (tx) =>
    tx.select({ orgId: leases.orgId }).from(leases).where(eq(leases.tokenHash, tokenHash)),
  )
  if (!known) throw new Problem('token-invalid')
  const [lease] = await withOrg(deps.db, known.orgId, (tx) =>
    tx
      .select({
        id: leases.id,
        orgId: leases.orgId,
        jobId: leases.jobId,
        buildId: leases.buildId,
        attempt: leases.attempt,
        workerId: leases.workerId,
      })
      .from(leases)
      .innerJoin(jobs, and(eq(jobs.id, leases.jobId), eq(jobs.attempt, leases.attempt), eq(jobs.status, 'in_progress')))
      .where(and(eq(leases.tokenHash, tokenHash), isNull(leases.endedAt), gt(leases.expiresAt, deps.now()))),
  )
  if (!lease) throw new Problem('lease-lost', 'This attempt of the build is no longer yours; stop and clean up.')
  return lease
}
