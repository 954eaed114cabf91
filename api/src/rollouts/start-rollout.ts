import { bundles, deployments, rollouts, type Transaction } from '@capstan/migrations'
import { and, desc, eq, gt, lt, sql } from 'drizzle-orm'
import type { Auditor } from '../audit/record-audit.js'
import { requireChannel } from '../channels/queries.js'
import { deployBundle } from '../deployments/deploy-bundle.js'
import { Problem } from '../problems.js'
import { recordDecision } from './change-status.js'
import { requireRollout, type Rollout } from './queries.js'

/**
 * Makes the deployment of a scheduled rollout, at its first step. Null when it was started, paused or ended meanwhile.
 * What the deployment refuses is thrown.
 */
export async function startRollout(
  tx: Transaction,
  by: Auditor & { now: () => Date },
  key: { appId: string; rolloutId: string; channelId: string },
  { signed }: { signed: boolean },
): Promise<Rollout | null> {
  const now = by.now()
  // The channel before the rollout, as every deployment does it.
  await requireChannel(tx, key.appId, { id: key.channelId }, { lock: true })
  const rollout = await requireRollout(tx, key, { lock: true })
  const [step] = rollout.steps
  if (rollout.status !== 'scheduled' || !step) return null
  const [bundle] = await tx.select().from(bundles).where(eq(bundles.id, rollout.bundleId))
  if (!bundle) throw new Problem('not-found', 'The bundle of this rollout is gone.')
  const control = await findControl(tx, rollout.appChannelId)
  const deployment = await deployBundle(tx, by, {
    bundle,
    channel: { id: rollout.appChannelId },
    rolloutPercentage: step.percentage,
    signed,
    approval: null,
    rollout: { id: rollout.id, createdBy: rollout.createdBy, changeRequestId: rollout.changeRequestId },
  })
  const [started] = await tx
    .update(rollouts)
    .set({
      status: 'running',
      step: 0,
      stepStartedAt: now,
      deploymentId: deployment.id,
      controlDeploymentId: control,
      reason: null,
      updatedAt: sql`now()`,
    })
    .where(and(eq(rollouts.id, rollout.id), eq(rollouts.status, 'scheduled')))
    .returning()
  if (!started) throw new Error('The rollout was locked and is not scheduled any more.')
  const reason = `Started with ${percent(step.percentage)} of devices.`
  await recordDecision(tx, by, started, { decision: 'started', reason, now })
  return started
}

/** The deployment that devices outside the rollout have: the newest that reaches everybody, else the newest that reaches anybody. */
async function findControl(tx: Transaction, channelId: string): Promise<string | null> {
  const [control] = await tx
    .select({ id: deployments.id })
    .from(deployments)
    .where(and(eq(deployments.appChannelId, channelId), gt(deployments.rolloutPercentage, 0)))
    .orderBy(lt(deployments.rolloutPercentage, 1), desc(deployments.id))
    .limit(1)
  return control?.id ?? null
}

export const percent = (share: number): string => `${Number((share * 100).toFixed(4))} %`
