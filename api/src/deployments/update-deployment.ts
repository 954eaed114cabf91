import { deployments, withOrg } from '@capstan/migrations'
import { and, eq, sql } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'

export type UpdateDeployment = { appId: string; deploymentId: string; rolloutPercentage?: number | undefined }

/** Widens or narrows the share of devices; the hash is stable, so widening only adds devices. */
export async function updateDeployment(
  ctx: Context,
  input: UpdateDeployment,
): Promise<typeof deployments.$inferSelect> {
  requireScope(ctx, 'deployments:write')
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const [deployment] = await tx
      .update(deployments)
      .set({
        ...(input.rolloutPercentage === undefined ? {} : { rolloutPercentage: input.rolloutPercentage }),
        updatedAt: sql`now()`,
      })
      .where(and(eq(deployments.id, input.deploymentId), eq(deployments.appId, input.appId)))
      .returning()
    if (!deployment) throw new Problem('not-found', 'This app has no such deployment.')
    await recordAudit(tx, ctx, {
      action: 'deployment.updated',
      target: { app: input.appId, deployment: deployment.id },
      data: { rolloutPercentage: String(deployment.rolloutPercentage) },
    })
    return deployment
  })
}
