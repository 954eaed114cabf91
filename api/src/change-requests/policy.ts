import { changeRequests, organizations, type Transaction, withOrg } from '@capstan/migrations'
import { eq, inArray } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { requireStepUp } from '../auth/step-up.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import { doneStates, findApprovers, moveRequest } from './queries.js'
import { requireApproval } from './require-approval.js'
import { spendApproval } from './spend-approval.js'
import { voidRequest } from './void-request.js'

export type DutiesPolicy = {
  enabled: boolean
  /** How many people may approve. */
  approvers: number
  soleOperatorUntil: Date | null
  soleOperatorReason: string | null
}

export async function getDuties(ctx: Context): Promise<DutiesPolicy> {
  requireScope(ctx, 'change-requests:read')
  return withOrg(ctx.db, ctx.orgId, (tx) => load(tx, ctx))
}

/** Turning it on takes one owner; turning it off is a guarded change itself, and closes what was still under way. */
export async function setDuties(ctx: Context, { enabled }: { enabled: boolean }): Promise<DutiesPolicy> {
  requireScope(ctx, 'policies:write')
  requireStepUp(ctx.assurance, ctx.now())
  if (!enabled) return disable(ctx)
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const before = await lock(tx, ctx)
    if (before.separationOfDuties) return load(tx, ctx)
    await update(tx, ctx, { separationOfDuties: true })
    await recordAudit(tx, ctx, {
      action: 'organization.separation_of_duties_enabled',
      target: { organization: ctx.orgId },
    })
    return load(tx, ctx)
  })
}

async function disable(ctx: Context): Promise<DutiesPolicy> {
  const now = await getDuties(ctx)
  if (!now.enabled) return now
  const approval = await requireApproval(ctx, {
    action: 'policy.disable',
    subject: { organization: ctx.orgId },
    effect: { separationOfDuties: false },
  })
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    await lock(tx, ctx)
    const spent = await spendApproval(tx, ctx, approval, {})
    await closeAll(tx, ctx)
    await update(tx, ctx, { separationOfDuties: false, ...NO_SOLE_OPERATOR })
    await recordAudit(tx, ctx, {
      action: 'organization.separation_of_duties_disabled',
      target: { organization: ctx.orgId },
      data: { approval: spent },
    })
    return load(tx, ctx)
  })
}

const NO_SOLE_OPERATOR = { soleOperatorSince: null, soleOperatorUntil: null, soleOperatorReason: null }

/** From here on nobody compares: what is compared later must have begun later. What waits for its approval goes on waiting. */
async function closeAll(tx: Transaction, ctx: Context): Promise<void> {
  const reason = 'Separation of duties was turned off.'
  const open = await tx
    .select()
    .from(changeRequests)
    .where(inArray(changeRequests.state, ['submitted', 'approved', ...doneStates]))
    .orderBy(changeRequests.id)
    .for('no key update')
  for (const request of open) {
    if (request.state === 'submitted' || request.state === 'approved') {
      await voidRequest(tx, ctx, request, reason)
      continue
    }
    await tx.update(changeRequests).set({ supersededAt: ctx.now() }).where(eq(changeRequests.id, request.id))
    if (request.approvedAt !== null) {
      await moveRequest(tx, ctx, request, { to: 'closed', step: { step: 'closed', reason } })
    }
  }
}

export type SoleOperator = { reason: string; days: number }

const DAY_MS = 24 * 60 * 60_000

/**
 * Lets the only person who may approve approve alone: for S1 and nothing else, with a reason, for 90 days at most. It
 * ends by itself in the transaction that makes a second approver.
 */
export async function allowSoleOperator(ctx: Context, { reason, days }: SoleOperator): Promise<DutiesPolicy> {
  requireScope(ctx, 'policies:write')
  requireStepUp(ctx.assurance, ctx.now())
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const before = await lock(tx, ctx)
    const approvers = await findApprovers(tx, ctx.orgId)
    if (approvers.length !== 1) {
      throw new Problem(
        'exception-not-alone',
        `${approvers.length} people may approve changes here. The exception is for organizations where only one can.`,
      )
    }
    const since = ctx.now()
    refuseLonelinessOfOwnMaking(before.approverLeftAt, since)
    const until = new Date(since.getTime() + days * DAY_MS)
    await update(tx, ctx, { soleOperatorSince: since, soleOperatorUntil: until, soleOperatorReason: reason })
    await recordAudit(tx, ctx, {
      action: 'organization.sole_operator_began',
      target: { organization: ctx.orgId },
      data: { until: until.toISOString() },
      personal: { reason },
    })
    return load(tx, ctx)
  })
}

/** S5: else one person would remove the others and go on alone, before anybody hears of it. */
function refuseLonelinessOfOwnMaking(approverLeftAt: Date | null, now: Date): void {
  const from = approverLeftAt && new Date(approverLeftAt.getTime() + DAY_MS)
  if (from === null || now >= from) return
  throw new Problem(
    'exception-not-alone',
    `Somebody else could approve until a short while ago. The exception may begin from ${from.toISOString()} on.`,
  )
}

export async function endSoleOperator(ctx: Context): Promise<DutiesPolicy> {
  requireScope(ctx, 'policies:write')
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    if ((await lock(tx, ctx)).soleOperatorUntil === null) return load(tx, ctx)
    await update(tx, ctx, NO_SOLE_OPERATOR)
    await recordAudit(tx, ctx, {
      action: 'organization.sole_operator_ended',
      target: { organization: ctx.orgId },
      data: { reason: 'ended by a person' },
    })
    return load(tx, ctx)
  })
}

async function load(tx: Transaction, ctx: Context): Promise<DutiesPolicy> {
  const [row] = await tx.select().from(organizations).where(eq(organizations.id, ctx.orgId))
  if (!row) throw new Problem('not-found')
  const { separationOfDuties: enabled, soleOperatorUntil, soleOperatorReason } = row
  return { enabled, soleOperatorUntil, soleOperatorReason, approvers: (await findApprovers(tx, ctx.orgId)).length }
}

async function lock(tx: Transaction, ctx: Context) {
  const [row] = await tx.select().from(organizations).where(eq(organizations.id, ctx.orgId)).for('no key update')
  if (!row) throw new Problem('not-found')
  return row
}

async function update(tx: Transaction, ctx: Context, set: Partial<typeof organizations.$inferInsert>): Promise<void> {
  await tx
    .update(organizations)
    .set({ ...set, updatedAt: ctx.now() })
    .where(eq(organizations.id, ctx.orgId))
}
