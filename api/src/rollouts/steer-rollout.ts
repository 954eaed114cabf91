import { type Transaction, withOrg } from '@capstan/migrations'
import { type Context, requireChannelScope } from '../context.js'
import { changeStatus, type StatusChange } from './change-status.js'
import { judgeLaunches } from './judge-launches.js'
import { countLaunches, requireRollout, type Rollout, sinceBaseline } from './queries.js'

export type RolloutKey = { appId: string; rolloutId: string }

/** The share of devices stays as it is, and so it is judged; no further step is taken. */
export async function pauseRollout(ctx: Context, key: RolloutKey): Promise<Rollout> {
  return steer(ctx, key, () => ({ to: 'paused', decision: 'paused', reason: 'Paused by a person.' }))
}

/** From now on no device gets it any more; those that have it are offered what was there before. */
export async function abortRollout(ctx: Context, key: RolloutKey): Promise<Rollout> {
  return steer(ctx, key, () => ({
    to: 'aborted',
    decision: 'aborted',
    reason: 'Aborted by a person.',
    percentage: 0,
  }))
}

/**
 * Goes on with the step it stopped at, whose time starts anew. After a halt the launches that caused it count no more:
 * a person has judged them.
 */
export async function resumeRollout(ctx: Context, key: RolloutKey): Promise<Rollout> {
  return steer(ctx, key, async (tx, rollout) => {
    if (rollout.deploymentId === null) {
      return { to: 'scheduled', decision: 'resumed', reason: 'Resumed by a person.' }
    }
    const all = await countLaunches(tx, rollout)
    const judged = rollout.status === 'halted'
    return {
      to: 'running',
      decision: 'resumed',
      reason: judged ? 'Resumed by a person against the numbers.' : 'Resumed by a person.',
      percentage: rollout.steps[rollout.step]?.percentage ?? 0,
      judgement: judgeLaunches(sinceBaseline(all, rollout), rollout.haltRule),
      set: { stepStartedAt: ctx.now(), ...(judged ? { baseline: all } : {}) },
    }
  })
}

type Steering = Omit<StatusChange, 'now'>

async function steer(
  ctx: Context,
  key: RolloutKey,
  decide: (tx: Transaction, rollout: Rollout) => Steering | Promise<Steering>,
): Promise<Rollout> {
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const rollout = await requireRollout(tx, key, { lock: true })
    requireChannelScope(ctx, 'deployments:write', rollout.appChannelId)
    const change = await decide(tx, rollout)
    if (rollout.status === change.to) return rollout
    return changeStatus(tx, ctx, rollout, { ...change, now: ctx.now() })
  })
}
