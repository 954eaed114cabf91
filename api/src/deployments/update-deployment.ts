import { deployments, rollouts, type Transaction, withOrg } from '@capstan/migrations'
import { and, eq, inArray, sql } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireChannelScope } from '../context.js'
import { Problem } from '../problems.js'
import { liveStatuses } from '../rollouts/queries.js'

export type UpdateDeployment = { appId: string; deploymentId: string; rolloutPercentage?: number | undefined }

/** Widens or narrows the share of devices; the hash is stable, so widening only adds devices. */
export async function updateDeployment(
  ctx: Context,
  input: UpdateDeployment,
): Promise<typeof deployments.$inferSelect> {
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
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
    requireChannelScope(ctx, 'deployments:write', deployment.appChannelId)
    await recordAudit(tx, ctx, {
      action: 'deployment.updated',
      target: { app: input.appId, deployment: deployment.id },
      data: { rolloutPercentage: String(deployment.rolloutPercentage) },
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
