import { launchCounts, type LaunchPair, type LaunchTally, rollouts, type Transaction } from '@capstan/migrations'
import { and, eq, sql } from 'drizzle-orm'
import { Problem } from '../problems.js'

export type Rollout = typeof rollouts.$inferSelect

/** Statuses in which a rollout decides the share of its deployment. */
export const liveStatuses = ['running', 'paused', 'halted'] as const

export async function requireRollout(
  tx: Transaction,
  key: { appId: string; rolloutId: string },
  { lock = false } = {},
): Promise<Rollout> {
  const query = tx
    .select()
    .from(rollouts)
    .where(and(eq(rollouts.id, key.rolloutId), eq(rollouts.appId, key.appId)))
  const [found] = await (lock ? query.for('no key update') : query)
  if (!found) throw new Problem('not-found', 'This app has no such rollout.')
  return found
}

/** All launches that were reported of the deployment of a rollout, and of the one that the other devices have. */
export async function countLaunches(tx: Transaction, rollout: Rollout): Promise<LaunchPair> {
  return {
    candidate: await tallyOf(tx, rollout.deploymentId),
    control: await tallyOf(tx, rollout.controlDeploymentId),
  }
}

/** What counts for the decision: launches since a person last resumed the rollout against the numbers. */
export function sinceBaseline(all: LaunchPair, { baseline }: Rollout): LaunchPair {
  const since = (now: LaunchTally, then: LaunchTally): LaunchTally => ({
    confirmed: Math.max(0, now.confirmed - then.confirmed),
    failed: Math.max(0, now.failed - then.failed),
  })
  return { candidate: since(all.candidate, baseline.candidate), control: since(all.control, baseline.control) }
}

async function tallyOf(tx: Transaction, deploymentId: string | null): Promise<LaunchTally> {
  if (deploymentId === null) return { confirmed: 0, failed: 0 }
  const [sums] = await tx
    .select({
      confirmed: sql<number>`coalesce(sum(confirmed), 0)::int`,
      failed: sql<number>`coalesce(sum(failed + blocked), 0)::int`,
    })
    .from(launchCounts)
    .where(eq(launchCounts.deploymentId, deploymentId))
  return sums ?? { confirmed: 0, failed: 0 }
}
