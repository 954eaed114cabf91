import { bundles, type Transaction, withOrg } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { isGuarded } from '../change-requests/deployment-consent.js'
import { digestOf, presentSteps } from '../change-requests/observe.js'
import { type AtOnce, recordAfterwards } from '../change-requests/record-afterwards.js'
import { type Approval, requireApproval } from '../change-requests/require-approval.js'
import { spendApproval } from '../change-requests/spend-approval.js'
import { supersede } from '../change-requests/supersede.js'
import { type Context, requireChannelScope } from '../context.js'
import { Problem } from '../problems.js'
import { changeStatus, type StatusChange } from './change-status.js'
import { judgeLaunches } from './judge-launches.js'
import { countLaunches, requireRollout, type Rollout, sinceBaseline } from './queries.js'

export type RolloutKey = { appId: string; rolloutId: string }

/** The share of devices stays as it is, and so it is judged; no further step is taken. */
export async function pauseRollout(ctx: Context, key: RolloutKey): Promise<Rollout> {
  return steer(ctx, key, {
    decide: () => ({ to: 'paused', decision: 'paused', reason: 'Paused by a person.' }),
    settle: (tx, rollout) =>
      recordStop(tx, ctx, rollout, {
        action: 'rollout.pause',
        effect: { running: false },
        entity: `rollout-pause/${rollout.id}`,
      }),
  })
}

/** From now on no device gets it any more; those that have it are offered what was there before. */
export async function abortRollout(ctx: Context, key: RolloutKey): Promise<Rollout> {
  return steer(ctx, key, {
    decide: () => ({ to: 'aborted', decision: 'aborted', reason: 'Aborted by a person.', percentage: 0 }),
    settle: async (tx, rollout) =>
      recordStop(tx, ctx, rollout, {
        action: 'rollout.abort',
        effect: { bundle: await digestOfRollout(tx, rollout), percentage: '0' },
        entity: `rollout/${rollout.id}`,
        supersedes: [`rollout-pause/${rollout.id}`],
      }),
  })
}

/**
 * Goes on with the step it stopped at, whose time starts anew. After a halt the launches that caused it count no more:
 * a person has judged them, and where the organization demands it a second one.
 */
export async function resumeRollout(ctx: Context, key: RolloutKey): Promise<Rollout> {
  const approval = await approveResumption(ctx, key)
  return steer(ctx, key, {
    decide: async (tx, rollout) => {
      if (approval === null && (await needsApproval(tx, rollout))) {
        throw new Problem('request-conflict', 'The rollout was halted at the same moment. Look at it again.')
      }
      const set = approval?.requestId ? { changeRequestId: approval.requestId } : {}
      if (rollout.deploymentId === null) {
        return { to: 'scheduled', decision: 'resumed', reason: 'Resumed by a person.', set }
      }
      const all = await countLaunches(tx, rollout)
      const judged = rollout.status === 'halted'
      return {
        to: 'running',
        decision: 'resumed',
        reason: judged ? 'Resumed by a person against the numbers.' : 'Resumed by a person.',
        percentage: rollout.steps[rollout.step]?.percentage ?? 0,
        judgement: judgeLaunches(sinceBaseline(all, rollout), rollout.haltRule),
        set: { ...set, stepStartedAt: ctx.now(), ...(judged ? { baseline: all } : {}) },
      }
    },
    settle: async (tx, rollout) => {
      const stopped = [`rollout-pause/${rollout.id}`]
      if (approval === null) return supersede(tx, ctx, { entities: stopped, by: null })
      await spendApproval(tx, ctx, approval, { entity: `rollout/${rollout.id}`, supersedes: stopped })
    },
  })
}

/** To go on with an approved plan needs nobody; to go against the numbers, or on with another plan, does. */
async function needsApproval(tx: Transaction, rollout: Rollout): Promise<boolean> {
  const onPlan = rollout.status !== 'halted' && rollout.changeRequestId !== null
  return !onPlan && isGuarded(tx, rollout.orgId, rollout.appChannelId)
}

async function approveResumption(ctx: Context, key: RolloutKey): Promise<Approval | null> {
  const found = await withOrg(ctx.db, ctx.orgId, async (tx) => {
    const rollout = await requireRollout(tx, key)
    requireChannelScope(ctx, 'deployments:write', rollout.appChannelId)
    if (!['paused', 'halted'].includes(rollout.status) || !(await needsApproval(tx, rollout))) return null
    return { rollout, bundle: await digestOfRollout(tx, rollout) }
  })
  if (!found) return null
  const { rollout, bundle } = found
  return requireApproval(ctx, {
    action: 'rollout.resume',
    subject: { app: rollout.appId, channel: rollout.appChannelId, rollout: rollout.id },
    effect: { bundle, steps: presentSteps(rollout.steps), onPlan: true },
    details: { step: rollout.step, from: rollout.status, because: rollout.reason },
  })
}

async function digestOfRollout(tx: Transaction, rollout: Rollout): Promise<string | null> {
  const [bundle] = await tx.select().from(bundles).where(eq(bundles.id, rollout.bundleId))
  return bundle ? digestOf(tx, bundle) : null
}

/** One person stops a rollout at any time; on a protected channel somebody else looks at it afterwards. */
async function recordStop(
  tx: Transaction,
  ctx: Context,
  rollout: Rollout,
  stop: Pick<AtOnce, 'action' | 'effect' | 'entity' | 'supersedes'>,
): Promise<void> {
  if (!(await isGuarded(tx, ctx.orgId, rollout.appChannelId))) return
  const subject = { app: rollout.appId, channel: rollout.appChannelId, rollout: rollout.id }
  await recordAfterwards(tx, ctx, { ...stop, subject })
}

type Steering = Omit<StatusChange, 'now'>
type Steer = {
  decide: (tx: Transaction, rollout: Rollout) => Steering | Promise<Steering>
  /** What belongs to it once it is done. */
  settle: (tx: Transaction, rollout: Rollout) => Promise<void>
}

async function steer(ctx: Context, key: RolloutKey, { decide, settle }: Steer): Promise<Rollout> {
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const rollout = await requireRollout(tx, key, { lock: true })
    requireChannelScope(ctx, 'deployments:write', rollout.appChannelId)
    const change = await decide(tx, rollout)
    if (rollout.status === change.to) return rollout
    const changed = await changeStatus(tx, ctx, rollout, { ...change, now: ctx.now() })
    await settle(tx, changed)
    return changed
  })
}
