import {
  deployments,
  newId,
  rolloutDecisions,
  rollouts,
  rolloutSourcesOf,
  type RolloutStatus,
  type Transaction,
} from '@capstan/migrations'
import { and, eq, inArray, sql } from 'drizzle-orm'
import { type Auditor, recordAudit } from '../audit/record-audit.js'
import { Problem } from '../problems.js'
import { type Judgement, judgeLaunches } from './judge-launches.js'
import { countLaunches, type Rollout, sinceBaseline } from './queries.js'

export type StatusChange = {
  to: RolloutStatus
  /** The word of the decision record and of the audit event: `rollout.<decision>`. */
  decision: string
  /** One sentence for the record. */
  reason: string
  /** What else of the row changes with the status. */
  set?: Partial<typeof rollouts.$inferInsert>
  /** The share of devices from now on. */
  percentage?: number
  judgement?: Judgement
  now: Date
}

/** One change of a rollout with everything that belongs to it: status, share of devices, decision record, audit event. */
export async function changeStatus(
  tx: Transaction,
  by: Auditor,
  rollout: Rollout,
  change: StatusChange,
): Promise<Rollout> {
  const ended = ['completed', 'aborted', 'superseded', 'failed'].includes(change.to)
  const from = rollout.status === change.to ? [change.to] : rolloutSourcesOf(change.to)
  const [changed] = await tx
    .update(rollouts)
    .set({
      ...change.set,
      status: change.to,
      reason: change.reason,
      updatedAt: sql`now()`,
      ...(ended ? { endedAt: change.now } : {}),
    })
    .where(and(eq(rollouts.id, rollout.id), inArray(rollouts.status, from)))
    .returning()
  if (!changed) {
    throw new Problem('rollout-transition-refused', `A rollout that is ${rollout.status} cannot become ${change.to}.`)
  }
  if (change.percentage !== undefined && changed.deploymentId !== null) {
    await tx
      .update(deployments)
      .set({ rolloutPercentage: change.percentage, updatedAt: sql`now()` })
      .where(eq(deployments.id, changed.deploymentId))
  }
  await recordDecision(tx, by, changed, change)
  await recordAudit(tx, by, {
    action: `rollout.${change.decision}`,
    target: targetOf(changed),
    data: {
      step: changed.step,
      reason: change.reason,
      ...(change.percentage === undefined ? {} : { rolloutPercentage: String(change.percentage) }),
    },
  })
  return changed
}

/** Writes down what was known when a decision was taken, and what was computed from it. */
export async function recordDecision(
  tx: Transaction,
  by: Auditor,
  rollout: Rollout,
  { decision, reason, judgement, now }: Pick<StatusChange, 'decision' | 'reason' | 'judgement' | 'now'>,
): Promise<void> {
  const evidence =
    judgement ?? judgeLaunches(sinceBaseline(await countLaunches(tx, rollout), rollout), rollout.haltRule)
  await tx.insert(rolloutDecisions).values({
    id: newId(),
    orgId: rollout.orgId,
    rolloutId: rollout.id,
    step: rollout.step,
    decision,
    evidence: { ...evidence, rule: rollout.haltRule, percentage: rollout.steps[rollout.step]?.percentage ?? null },
    reason,
    decidedBy: by.actor.type === 'user' ? by.actor.id : null,
    createdAt: now,
  })
}

export function targetOf(rollout: Rollout): Record<string, string> {
  return {
    app: rollout.appId,
    channel: rollout.appChannelId,
    rollout: rollout.id,
    ...(rollout.deploymentId === null ? {} : { deployment: rollout.deploymentId }),
  }
}
