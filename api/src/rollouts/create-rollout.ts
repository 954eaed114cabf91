import { type HaltRule, newId, rollouts, type RolloutStep, withOrg } from '@capstan/migrations'
import { recordAudit } from '../audit/record-audit.js'
import { bundleIsSigned } from '../bundles/bundle-is-signed.js'
import { bundleOfBuild } from '../bundles/bundle-of-build.js'
import { limitChecks } from '../bundles/limit-checks.js'
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
        createdBy: ctx.actor.id,
      })
      .returning()
    if (!planned) throw new Error('The rollout was not inserted.')
    await recordAudit(tx, ctx, {
      action: 'rollout.created',
      target: targetOf(planned),
      data: {
        startsAt: startsAt.toISOString(),
        steps: input.steps.map(({ percentage, dwellMs }) => ({ percentage: String(percentage), dwellMs })),
      },
    })
    if (startsAt > ctx.now()) return planned
    const key = { appId: planned.appId, rolloutId: planned.id, channelId: channel.id }
    return (await startRollout(tx, ctx, key, { signed })) ?? planned
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
