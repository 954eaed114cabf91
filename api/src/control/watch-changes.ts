import { changeRequests, newId, type Transaction, withOrg } from '@capstan/migrations'
import { and, asc, eq, inArray, isNotNull, isNull, lt, or, sql } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { markOverdue } from '../change-requests/mark-overdue.js'
import {
  type By,
  type ChangeRequest,
  doneStates,
  findApprovers,
  moveRequest,
  rootsOfSteps,
} from '../change-requests/queries.js'
import { voidRequest } from '../change-requests/void-request.js'
import { type Reading, readChange } from '../change-requests/read-change.js'
import { settleReading } from '../change-requests/reconcile-change.js'
import type { ControlDeps } from './control-deps.js'

const MINUTE_MS = 60_000
const DAY_MS = 24 * 60 * MINUTE_MS
const WATCHED_DAYS = 14
const AT_ONCE = 100

/**
 * Compares what was changed with what was approved: at once, then daily for 14 days, a mismatch every ten minutes. This
 * process executes no change, so it attests and reconciles where no other person could. It also says what was not
 * approved afterwards in time, and gives up changes that a process began and never finished.
 */
export async function watchChanges(deps: ControlDeps): Promise<number> {
  const before = (milliseconds: number) => new Date(deps.now().getTime() - milliseconds)
  const isDone = inArray(changeRequests.state, [...doneStates])
  const unread = or(
    isNull(changeRequests.readAt),
    lt(changeRequests.readAt, before(DAY_MS)),
    and(eq(changeRequests.verdict, 'mismatch'), lt(changeRequests.readAt, before(10 * MINUTE_MS))),
    and(eq(changeRequests.state, 'attested'), lt(changeRequests.readAt, before(MINUTE_MS))),
  )
  const due = or(
    and(isDone, isNotNull(changeRequests.entity), isNull(changeRequests.supersededAt), unread),
    and(isLate, lt(changeRequests.postApprovalDueAt, deps.now())),
    and(eq(changeRequests.state, 'executing'), lt(changeRequests.updatedAt, before(60 * MINUTE_MS))),
  )
  const found = await deps.db
    .select({ id: changeRequests.id, orgId: changeRequests.orgId })
    .from(changeRequests)
    .where(due)
    .orderBy(sql`${asc(changeRequests.readAt)} nulls first`)
    .limit(AT_ONCE)
  let changed = 0
  for (const { id, orgId } of found) {
    try {
      if (await withOrg(deps.db, orgId, (tx) => watch(tx, deps, orgId, id))) changed += 1
    } catch (error) {
      // One that cannot be looked at must not keep the others waiting.
      deps.log.error({ err: error, changeRequestId: id }, 'a change request could not be looked at')
    }
  }
  return changed
}

const isLate = and(
  eq(changeRequests.state, 'executed'),
  isNull(changeRequests.approvedAt),
  isNull(changeRequests.overdueAt),
  isNotNull(changeRequests.postApprovalDueAt),
)

async function watch(tx: Transaction, deps: ControlDeps, orgId: string, id: string): Promise<boolean> {
  const [request] = await tx
    .select()
    .from(changeRequests)
    .where(eq(changeRequests.id, id))
    .for('no key update', { skipLocked: true })
  if (!request) return false
  const actor = { type: 'system', id: 'control' } as const
  const by: By = { orgId, actor, requestId: newId(), now: deps.now }
  if (request.state === 'executing') {
    await voidRequest(tx, by, request, 'It was begun and never finished.')
    return true
  }
  const late = request.postApprovalDueAt !== null && request.postApprovalDueAt < deps.now()
  const marked = late && (await markOverdue(tx, by, request))
  if (marked) deps.log.warn({ orgId, changeRequestId: id, action: request.action }, 'a change was not approved in time')
  if (request.entity === null || request.supersededAt !== null) return marked
  return (await look(tx, deps, by, request)) || marked
}

async function look(tx: Transaction, deps: ControlDeps, by: By, request: ChangeRequest): Promise<boolean> {
  const reading = await readChange(tx, by, request)
  const attested = await attestAlone(tx, by, request, reading)
  const isNews = reading.verdict !== request.verdict || reading.evidenceHash !== request.evidenceHash
  const settled = isNews || attested.state === 'attested' ? await settleReading(tx, by, attested, reading) : attested
  if (reading.verdict === 'mismatch' && isNews) {
    const line = { orgId: by.orgId, changeRequestId: request.id, observed: reading.observed }
    deps.log.warn(line, 'what there is is not what was approved')
  }
  return (await closeWatched(tx, deps, by, settled, reading)) || isNews
}

/** Nobody else could: everybody who may approve is behind the change itself. What does not match stays open. */
async function attestAlone(tx: Transaction, by: By, request: ChangeRequest, reading: Reading): Promise<ChangeRequest> {
  if (request.state !== 'executed' || request.approvedAt === null || reading.verdict !== 'match') return request
  const executors = await rootsOfSteps(tx, request, 'executed')
  const others = (await findApprovers(tx, by.orgId)).filter((person) => !executors.includes(person))
  if (others.length > 0) return request
  const attested = await moveRequest(tx, by, request, { to: 'attested', step: { step: 'attested' } })
  await recordAudit(tx, by, {
    action: 'change_request.attested',
    target: { changeRequest: request.id, ...request.subject },
    data: { action: request.action, contentHash: request.contentHash, evidenceHash: reading.evidenceHash },
  })
  return attested
}

async function closeWatched(
  tx: Transaction,
  deps: ControlDeps,
  by: By,
  request: ChangeRequest,
  { verdict }: Reading,
): Promise<boolean> {
  const age = deps.now().getTime() - (request.executedAt?.getTime() ?? 0)
  if (request.state !== 'reconciled' || verdict !== 'match' || age < WATCHED_DAYS * DAY_MS) return false
  const reason = `It matched for ${WATCHED_DAYS} days.`
  await moveRequest(tx, by, request, { to: 'closed', step: { step: 'closed', reason } })
  await recordAudit(tx, by, {
    action: 'change_request.closed',
    target: { changeRequest: request.id, ...request.subject },
    data: { action: request.action, contentHash: request.contentHash, reason },
  })
  return true
}
