import { bundles, type channels, deployments, rollouts, type Transaction, withOrg } from '@capstan/migrations'
import { and, eq, inArray, sql } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import type { Change } from '../change-requests/change.js'
import { isGuarded, releaseEntities } from '../change-requests/deployment-consent.js'
import { digestOf, share } from '../change-requests/observe.js'
import { findPolicy } from '../change-requests/queries.js'
import { recordAfterwards } from '../change-requests/record-afterwards.js'
import { refuseFrozen } from '../change-requests/refuse-frozen.js'
import { type Approval, requireApproval } from '../change-requests/require-approval.js'
import { type Spent, spendApproval } from '../change-requests/spend-approval.js'
import { supersede } from '../change-requests/supersede.js'
import { requireChannel } from '../channels/queries.js'
import { type Context, requireChannelScope } from '../context.js'
import { Problem } from '../problems.js'
import { liveStatuses } from '../rollouts/queries.js'

export type UpdateDeployment = { appId: string; deploymentId: string; rolloutPercentage?: number | undefined }

/** Widens or narrows the share of devices; the hash is stable, so widening only adds devices. */
export async function updateDeployment(
  ctx: Context,
  input: UpdateDeployment,
): Promise<typeof deployments.$inferSelect> {
  const approval = await approveWidening(ctx, input)
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const before = await findShare(tx, ctx, input, { lock: true })
    await checkNoRollout(tx, input.deploymentId)
    const [deployment] = await tx
      .update(deployments)
      .set({
        ...(input.rolloutPercentage === undefined ? {} : { rolloutPercentage: input.rolloutPercentage }),
        updatedAt: sql`now()`,
      })
      .where(and(eq(deployments.id, input.deploymentId), eq(deployments.appId, input.appId)))
      .returning()
    if (!deployment) throw new Problem('not-found', 'This app has no such deployment.')
    const spent = await settleShare(tx, ctx, before, { to: deployment.rolloutPercentage, approval })
    await recordAudit(tx, ctx, {
      action: 'deployment.updated',
      target: { app: input.appId, deployment: deployment.id },
      data: { rolloutPercentage: String(deployment.rolloutPercentage), ...(spent && { approval: spent }) },
    })
    return deployment
  })
}

/** Two hands on one share of devices would undo each other. A new deployment, a rollback too, is always possible. */
async function checkNoRollout(tx: Transaction, deploymentId: string): Promise<void> {
  const [rollout] = await tx
    .select({ id: rollouts.id, status: rollouts.status })
    .from(rollouts)
    .where(and(eq(rollouts.deploymentId, deploymentId), inArray(rollouts.status, [...liveStatuses])))
  if (!rollout) return
  throw new Problem(
    'rollout-in-charge',
    `Rollout ${rollout.id} (${rollout.status}) sets the share of devices of this deployment. Abort or resume it, or deploy again.`,
  )
}

type Before = {
  deployment: typeof deployments.$inferSelect
  channel: typeof channels.$inferSelect
  bundle: string | null
}

/** The channel before the deployment, as every change of what it serves locks them. */
async function findShare(
  tx: Transaction,
  ctx: Context,
  input: UpdateDeployment,
  { lock = false } = {},
): Promise<Before> {
  const [found] = await tx
    .select({ channelId: deployments.appChannelId })
    .from(deployments)
    .where(and(eq(deployments.id, input.deploymentId), eq(deployments.appId, input.appId)))
  if (!found) throw new Problem('not-found', 'This app has no such deployment.')
  requireChannelScope(ctx, 'deployments:write', found.channelId)
  const channel = await requireChannel(tx, input.appId, { id: found.channelId }, { lock })
  const [row] = await tx
    .select({ deployment: deployments, bundle: bundles })
    .from(deployments)
    .innerJoin(bundles, eq(bundles.id, deployments.bundleId))
    .where(eq(deployments.id, input.deploymentId))
  if (!row) throw new Problem('not-found', 'This app has no such deployment.')
  return { deployment: row.deployment, channel, bundle: await digestOf(tx, row.bundle) }
}

function describeShare({ deployment, channel, bundle }: Before, to: number): Omit<Change, 'action'> {
  return {
    subject: { app: deployment.appId, channel: channel.id, deployment: deployment.id },
    effect: { bundle, percentage: share(to) },
    details: { channel: channel.name },
  }
}

/** More devices on a protected channel: somebody else first. */
async function approveWidening(ctx: Context, input: UpdateDeployment): Promise<Approval | null> {
  const to = input.rolloutPercentage
  if (to === undefined) return null
  const before = await withOrg(ctx.db, ctx.orgId, async (tx) => {
    const found = await findShare(tx, ctx, input)
    await checkNoRollout(tx, input.deploymentId)
    if (to <= found.deployment.rolloutPercentage || !(await findPolicy(tx, ctx.orgId)).enabled) return null
    await refuseFrozen(tx, input.appId)
    return (await isGuarded(tx, ctx.orgId, found.channel.id)) ? found : null
  })
  return before && requireApproval(ctx, { action: 'deployment.widen', ...describeShare(before, to) })
}

/** Fewer devices: at once, and approved afterwards. */
async function settleShare(
  tx: Transaction,
  ctx: Context,
  before: Before,
  { to, approval }: { to: number; approval: Approval | null },
): Promise<Spent | null> {
  const { deployment, channel } = before
  const from = deployment.rolloutPercentage
  if (to === from) return null
  const isCurrent = channel.appDeploymentId === deployment.id
  const entity = isCurrent ? `channel-deployment/${channel.id}` : `deployment/${deployment.id}`
  const supersedes = isCurrent ? await releaseEntities(tx, channel.id) : []
  if (!(await isGuarded(tx, ctx.orgId, channel.id))) {
    await supersede(tx, ctx, { entities: [entity, ...supersedes], by: null })
    return null
  }
  if (to < from) {
    await recordAfterwards(tx, ctx, { action: 'deployment.narrow', ...describeShare(before, to), entity, supersedes })
    return null
  }
  if (approval === null) {
    throw new Problem('request-conflict', 'The channel or its share was changed at the same moment. Look again.')
  }
  return spendApproval(tx, ctx, approval, { entity, supersedes })
}
