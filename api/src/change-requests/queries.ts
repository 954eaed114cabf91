import {
  changeRequests,
  changeRequestSourcesOf,
  changeRequestSteps,
  type ChangeRequestState,
  newId,
  organizations,
  type Transaction,
} from '@capstan/migrations'
import { and, eq, inArray, sql } from 'drizzle-orm'
import type { Auditor } from '../audit/record-audit.js'
import { Problem } from '../problems.js'

export type ChangeRequest = typeof changeRequests.$inferSelect
export type Step = typeof changeRequestSteps.$inferSelect
/** Who takes a step, and when. */
export type By = Auditor & { now: () => Date }

/** States in which what was done is compared with what was approved. */
export const doneStates = ['executed', 'attested', 'reconciled'] as const

/** Whether the organization demands a second person, and until when its only approver may do without. */
export async function findPolicy(tx: Transaction, orgId: string) {
  const [policy] = await tx
    .select({
      enabled: organizations.separationOfDuties,
      soleOperatorSince: organizations.soleOperatorSince,
      soleOperatorUntil: organizations.soleOperatorUntil,
    })
    .from(organizations)
    .where(eq(organizations.id, orgId))
  return policy ?? { enabled: false, soleOperatorSince: null, soleOperatorUntil: null }
}

/** Locked until the transaction ends: one step after the other. */
export async function lockRequest(tx: Transaction, id: string): Promise<ChangeRequest> {
  const [found] = await tx.select().from(changeRequests).where(eq(changeRequests.id, id)).for('no key update')
  if (!found) throw new Problem('not-found', 'This organization has no such change request.')
  return found
}

type NewStep = Pick<typeof changeRequestSteps.$inferInsert, 'step'> &
  Partial<Pick<typeof changeRequestSteps.$inferInsert, 'reason' | 'exception' | 'evidence' | 'evidenceHash'>>

/** Writes down who took a step. The database adds the humans behind the actor, and refuses those who may not take it. */
export async function recordStep(tx: Transaction, by: By, { id }: ChangeRequest, step: NewStep): Promise<void> {
  await tx.insert(changeRequestSteps).values({
    id: newId(),
    orgId: by.orgId,
    changeRequestId: id,
    actorType: by.actor.type === 'system' ? 'system' : 'user',
    actorId: by.actor.id,
    via: by.actor.via?.type ?? null,
    viaId: by.actor.via?.id ?? null,
    roots: [],
    createdAt: by.now(),
    ...step,
  })
}

export type Move = { to: ChangeRequestState; set?: Partial<typeof changeRequests.$inferInsert>; step?: NewStep }

/** One conditional UPDATE with the step that belongs to it: of many at once one succeeds. */
export async function moveRequest(tx: Transaction, by: By, request: ChangeRequest, move: Move): Promise<ChangeRequest> {
  const [moved] = await tx
    .update(changeRequests)
    .set({ ...move.set, state: move.to, updatedAt: by.now() })
    .where(and(eq(changeRequests.id, request.id), inArray(changeRequests.state, changeRequestSourcesOf(move.to))))
    .returning()
  if (!moved) throw refusedMove(request, move.to)
  if (move.step) await recordStep(tx, by, request, move.step)
  return moved
}

export function refusedMove({ id, state }: ChangeRequest, to: string): Problem {
  return new Problem('change-request-refused', `Change request ${id} is ${state}; from there it cannot be ${to}.`)
}

/** Every human who is behind one of the steps of this name. */
export async function rootsOfSteps(
  tx: Transaction,
  { id }: Pick<ChangeRequest, 'id'>,
  step: Step['step'],
): Promise<string[]> {
  const steps = await tx
    .select({ roots: changeRequestSteps.roots })
    .from(changeRequestSteps)
    .where(and(eq(changeRequestSteps.changeRequestId, id), eq(changeRequestSteps.step, step)))
  return steps.flatMap(({ roots }) => roots)
}

/** Members whose role may approve. */
export async function findApprovers(tx: Transaction, orgId: string): Promise<string[]> {
  const rows = await tx.execute<{ id: string }>(sql`select approvers_of(${orgId}::uuid) as id`)
  return rows.map(({ id }) => id)
}
