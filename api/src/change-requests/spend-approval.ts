import { changeRequests, type Transaction } from '@capstan/migrations'
import { and, eq, inArray } from 'drizzle-orm'
import type { CanonicalValue } from '../audit/canonical-json.js'
import { Problem } from '../problems.js'
import { isApprovalStanding } from './is-approval-standing.js'
import { type By, findPolicy, lockRequest, moveRequest } from './queries.js'
import type { Approval } from './require-approval.js'
import { supersede } from './supersede.js'
import { voidRequest } from './void-request.js'

/** Belongs into the audit event of the change: what was consented to, and by which request. */
export type Spent = { contentHash: string } & Readonly<Record<string, CanonicalValue>>

export type Executed = {
  /** What a reading looks at from now on: `<kind>/<id>`. */
  entity?: string
  /** Entities of which the earlier records count no more, beside that one. */
  supersedes?: readonly string[]
}

/**
 * Uses an approval up in the transaction of the change: of many at once one makes it, and when the change fails the
 * approval is there still. Writes no audit event; what it gives belongs into that of the change.
 */
export async function spendApproval(tx: Transaction, by: By, approval: Approval, executed: Executed): Promise<Spent> {
  await beginChange(tx, by, approval)
  return finishChange(tx, by, approval, executed)
}

/** For a change of several transactions; `returnApproval` undoes it. */
export async function beginChange(tx: Transaction, by: By, { requestId }: Approval): Promise<void> {
  if (requestId === null) {
    if ((await findPolicy(tx, by.orgId)).enabled) throw spentMeanwhile()
    return
  }
  const [taken] = await tx
    .update(changeRequests)
    .set({ state: 'executing', updatedAt: by.now() })
    .where(and(eq(changeRequests.id, requestId), eq(changeRequests.state, 'approved')))
    .returning()
  if (!taken) throw spentMeanwhile()
  if (await isApprovalStanding(tx, taken, by.now())) return
  throw new Problem(
    'approval-lapsed',
    `The approval of change request ${requestId} has expired, or its approver may not approve any more. Do the same again: it asks anew.`,
  )
}

export async function finishChange(
  tx: Transaction,
  by: By,
  { requestId, contentHash }: Approval,
  { entity, supersedes = [] }: Executed,
): Promise<Spent> {
  const entities = [...(entity === undefined ? [] : [entity]), ...supersedes]
  await supersede(tx, by, { entities, by: requestId })
  if (requestId === null) return { contentHash }
  const done = await moveRequest(tx, by, await lockRequest(tx, requestId), {
    to: 'executed',
    set: { executedAt: by.now(), entity: entity ?? null },
    step: { step: 'executed' },
  })
  return { contentHash, request: requestId, exception: done.exception }
}

/** Nothing came of the change: the approval may be used again. */
export async function returnApproval(tx: Transaction, by: By, { requestId }: Approval): Promise<void> {
  if (requestId === null) return
  const reason = 'The change was not made.'
  const request = await lockRequest(tx, requestId)
  // Somebody may have asked for the same again meanwhile: one of the two is enough.
  const open = and(
    eq(changeRequests.contentHash, request.contentHash),
    inArray(changeRequests.state, ['submitted', 'approved']),
  )
  if ((await tx.$count(changeRequests, open)) > 0) return voidRequest(tx, by, request, reason)
  await moveRequest(tx, by, request, { to: 'approved', step: { step: 'returned', reason } })
}

function spentMeanwhile(): Problem {
  return new Problem(
    'approval-spent',
    'Something else used the approval, or changed the rules, at the same moment. If this is still wanted, do the same again: it asks anew.',
  )
}
