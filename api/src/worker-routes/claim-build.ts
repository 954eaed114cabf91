import { findOrgOf, jobs, leases, newId, sourcesOf, withOrg, type Transaction } from '@capstan/migrations'
import type { Claim, ClaimRequest } from '@capstan/migrations/messages'
import { and, eq, gt, inArray, isNull, sql } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { bindLease } from '../auth/bind-lease.js'
import { createToken, hashToken } from '../auth/tokens.js'
import type { Context, Deps } from '../context.js'
import { ringLogBell } from '../jobs/ring-log-bell.js'
import { Problem } from '../problems.js'
import { type BuildParts, loadBuildParts } from './load-build-parts.js'
import { makeBuildSpec } from './make-build-spec.js'
import { rejectBuild } from './reject-build.js'

export type ClaimBuild = { buildId: string; workerId: string; requestId: string; request: ClaimRequest }

/** Gives a waiting build to the first worker that asks, as a new attempt with a lease of its own. */
export async function claimBuild(deps: Deps, input: ClaimBuild): Promise<Claim> {
  const orgId = await findOrgOf(deps.db, 'build', input.buildId)
  if (!orgId) throw new Problem('not-found')
  const ctx: Context = { ...deps, orgId, actor: { type: 'worker', id: input.workerId }, requestId: input.requestId }
  const token = createToken('cl')
  const outcome = await withOrg(ctx.db, orgId, async (tx) => {
    const parts = await loadBuildParts(tx, input.buildId)
    if ('missing' in parts) return rejectBuild(tx, ctx, input.buildId, parts.missing)
    requireCapability(parts.build.platform, input.request.capabilities)
    const job = await startAttempt(tx, input.buildId)
    if (!job) {
      const repeated = await repeatClaim(tx, ctx, input, {
        build: parts.build,
        tokenHash: hashToken(deps.pepper, token),
      })
      return repeated ? { ...repeated, parts } : { refused: 'The build is not waiting for a worker.' }
    }
    const lease = await grantLease(tx, ctx, {
      job,
      input,
      build: parts.build,
      tokenHash: hashToken(deps.pepper, token),
    })
    await recordAudit(tx, ctx, {
      action: 'build.claimed',
      target: { app: job.appId, build: input.buildId, job: job.id },
      data: { attempt: job.attempt, lease: lease.id, worker: input.request.worker },
    })
    return { job, lease, parts }
  })
  if ('refused' in outcome) throw new Problem('build-not-claimable', outcome.refused)
  const { job, lease, parts } = outcome
  ringLogBell(ctx.redis, job.id, job.nextLogNumber - 1)
  return {
    lease: { id: lease.id, token, expiresAt: lease.expiresAt.toISOString() },
    attempt: job.attempt,
    spec: await makeBuildSpec(ctx, parts satisfies BuildParts),
  }
}

/** A bell may reach a worker that cannot build this; the build stays where it is. */
function requireCapability(platform: 'android' | 'ios' | 'web', capabilities: readonly string[]): void {
  const needed = platform === 'ios' ? 'macos' : platform
  if (capabilities.includes(needed)) return
  throw new Problem('build-not-claimable', `This build needs a worker with the capability "${needed}".`)
}

/** One conditional UPDATE: of two workers that ask at once, one gets the row and the other none. */
async function startAttempt(tx: Transaction, buildId: string): Promise<typeof jobs.$inferSelect | undefined> {
  const [job] = await tx
    .update(jobs)
    .set({
      status: 'in_progress',
      attempt: sql`${jobs.attempt} + 1`,
      statusCode: null,
      statusMessage: null,
      pendingAt: sql`coalesce(${jobs.pendingAt}, now())`,
      inProgressAt: sql`now()`,
      updatedAt: sql`now()`,
    })
    .where(
      and(
        eq(jobs.buildId, buildId),
        inArray(jobs.status, sourcesOf('in_progress')),
        sql`${jobs.attempt} < ${jobs.maxAttempts}`,
      ),
    )
    .returning()
  return job
}

type Given = { build: BuildParts['build']; tokenHash: string }
type Grant = Given & { job: typeof jobs.$inferSelect; input: ClaimBuild }

async function grantLease(tx: Transaction, ctx: Context, { job, input, build, tokenHash }: Grant) {
  const { id: jobId, buildId, attempt, orgId } = job
  const bound = { orgId, jobId, buildId, attempt, tokenHash }
  const [lease] = await tx
    .insert(leases)
    .values({
      id: newId(),
      ...bound,
      binding: bindLease(ctx.pepper, bound, build),
      workerId: input.workerId,
      workerName: input.request.worker,
      claimNonce: input.request.nonce ?? null,
      expiresAt: new Date(ctx.now().getTime() + ctx.leaseMs),
    })
    .returning({ id: leases.id, expiresAt: leases.expiresAt })
  if (!lease) throw new Error('The lease was not inserted.')
  return lease
}

/** The answer to this very claim was lost on the way: the attempt stands, under a token that nobody has seen. */
async function repeatClaim(
  tx: Transaction,
  ctx: Context,
  { buildId, workerId, request }: ClaimBuild,
  { build, tokenHash }: Given,
) {
  if (!request.nonce) return undefined
  const [job] = await tx
    .select()
    .from(jobs)
    .where(and(eq(jobs.buildId, buildId), eq(jobs.status, 'in_progress')))
    .for('update')
  if (!job) return undefined
  const bound = { orgId: job.orgId, jobId: job.id, buildId, attempt: job.attempt, tokenHash }
  const [lease] = await tx
    .update(leases)
    .set({
      tokenHash,
      binding: bindLease(ctx.pepper, bound, build),
      expiresAt: new Date(ctx.now().getTime() + ctx.leaseMs),
    })
    .where(
      and(
        eq(leases.jobId, job.id),
        eq(leases.attempt, job.attempt),
        eq(leases.workerId, workerId),
        eq(leases.claimNonce, request.nonce),
        isNull(leases.endedAt),
        gt(leases.expiresAt, ctx.now()),
      ),
    )
    .returning({ id: leases.id, expiresAt: leases.expiresAt })
  return lease ? { job, lease } : undefined
}
