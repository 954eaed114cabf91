import {
  type bundles,
  type channels,
  type HaltRule,
  newId,
  rollouts,
  type RolloutStep,
  withOrg,
} from '@capstan/migrations'
import { recordAudit } from '../audit/record-audit.js'
import { bundleIsSigned } from '../bundles/bundle-is-signed.js'
import { bundleOfBuild } from '../bundles/bundle-of-build.js'
import { limitChecks } from '../bundles/limit-checks.js'
import { type Approval, requireApproval } from '../change-requests/require-approval.js'
import { isGuarded } from '../change-requests/deployment-consent.js'
import { digestOf, presentSteps, share } from '../change-requests/observe.js'
import { spendApproval } from '../change-requests/spend-approval.js'
import { type ChannelKey, requireChannel } from '../channels/queries.js'
import { type Context, requireChannelScope } from '../context.js'
import { checkDeployable } from '../deployments/deploy-bundle.js'
import { Problem } from '../problems.js'
import { startRollout } from './start-rollout.js'
import { targetOf } from './change-status.js'
import type { Rollout } from './queries.js'

const MAX_AHEAD_MS = 366 * 24 * 60 * 60_000

export type CreateRollout = {
  appId: string
  appBuildId: string
  channel: ChannelKey
  /** Absent: at once. */
  startsAt?: Date | undefined
  steps: readonly RolloutStep[]
  haltRule: HaltRule
}

/**
 * Plans a deployment that starts at a time and widens in steps. One that starts now is started here; the control
 * process does the rest. What would be refused at the start is refused now as well.
 */
export async function createRollout(ctx: Context, input: CreateRollout): Promise<Rollout> {
  const startsAt = input.startsAt ?? ctx.now()
  checkPlan(input, startsAt.getTime() - ctx.now().getTime())
  const channel = await withOrg(ctx.db, ctx.orgId, (tx) => requireChannel(tx, input.appId, input.channel))
  requireChannelScope(ctx, 'deployments:write', channel.id)
  const bundle = await bundleOfBuild(ctx, { appId: input.appId, buildId: input.appBuildId })
  const signed = channel.protectedAt !== null && (await limitChecks(() => bundleIsSigned(ctx, bundle)))
  const approval = await approvePlan(ctx, input, { channel, bundle })
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const locked = await requireChannel(tx, input.appId, { id: channel.id }, { lock: true })
    await checkDeployable(tx, bundle, locked, signed)
    const [planned] = await tx
      .insert(rollouts)
      .values({
        id: newId(),
        orgId: ctx.orgId,
        appId: input.appId,
        appChannelId: channel.id,
        appBuildId: input.appBuildId,
        bundleId: bundle.id,
        startsAt,
        steps: [...input.steps],
        haltRule: input.haltRule,
        baseline: { candidate: { confirmed: 0, failed: 0 }, control: { confirmed: 0, failed: 0 } },
        changeRequestId: approval?.requestId ?? null,
        createdBy: ctx.actor.id,
      })
      .returning()
    if (!planned) throw new Error('The rollout was not inserted.')
    const spent = approval && (await spendApproval(tx, ctx, approval, { entity: `rollout/${planned.id}` }))
    await recordAudit(tx, ctx, {
      action: 'rollout.created',
      target: targetOf(planned),
      data: {
        startsAt: startsAt.toISOString(),
        steps: input.steps.map(({ percentage, dwellMs }) => ({ percentage: String(percentage), dwellMs })),
        ...(spent && { approval: spent }),
      },
    })
    if (startsAt > ctx.now()) return planned
    const key = { appId: planned.appId, rolloutId: planned.id, channelId: channel.id }
    return (await startRollout(tx, ctx, key, { signed })) ?? planned
  })
}

type Planned = { channel: typeof channels.$inferSelect; bundle: typeof bundles.$inferSelect }

/** The whole ladder at once, and when it halts: its steps ask nobody any more. */
async function approvePlan(ctx: Context, input: CreateRollout, { channel, bundle }: Planned): Promise<Approval | null> {
  const { guarded, digest } = await withOrg(ctx.db, ctx.orgId, async (tx) => ({
    guarded: await isGuarded(tx, ctx.orgId, channel.id),
    digest: await digestOf(tx, bundle),
  }))
  if (!guarded) return null
  const { falseAlarms, tolerance, ceiling, minimumLaunches } = input.haltRule
  return requireApproval(ctx, {
    action: 'rollout.create',
    subject: { app: input.appId, channel: channel.id },
    effect: { bundle: digest, release: bundle.releaseSequence, steps: presentSteps(input.steps), onPlan: true },
    details: {
      channel: channel.name,
      startsAt: input.startsAt?.toISOString() ?? null,
      haltRule: {
        falseAlarms: share(falseAlarms),
        tolerance: share(tolerance),
        ceiling: share(ceiling),
        minimumLaunches,
      },
    },
  })
}

function checkPlan({ steps }: CreateRollout, aheadMs: number): void {
  if (aheadMs > MAX_AHEAD_MS) throw new Problem('request-invalid', 'startsAt: at most a year ahead.')
  steps.forEach((step, index) => {
    if (step.percentage > (steps[index - 1]?.percentage ?? 0)) return
    throw new Problem(
      'request-invalid',
      `steps.${index}.percentage: each step reaches more devices than the one before.`,
    )
  })
}
