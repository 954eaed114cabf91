import { deployments, launchCounts, withOrg } from '@capstan/migrations'
import { and, desc, eq, sql } from 'drizzle-orm'
import { type Context, requireChannelScope } from '../context.js'
import { Problem } from '../problems.js'

/** Six weeks by the hour. */
const MAX_BUCKETS = 1_008

type LaunchesOfHour = { bucket: Date; confirmed: number; failed: number; blocked: number }
export type Launches = { confirmed: number; failed: number; blocked: number; hours: LaunchesOfHour[] }

const sums = {
  confirmed: sql<number>`coalesce(sum(${launchCounts.confirmed}), 0)::int`,
  failed: sql<number>`coalesce(sum(${launchCounts.failed}), 0)::int`,
  blocked: sql<number>`coalesce(sum(${launchCounts.blocked}), 0)::int`,
}

/** First launches of a deployment's bundle on the devices that report: in all, and for its newest hours, oldest first. */
export async function countLaunchesByHour(
  ctx: Context,
  key: { appId: string; deploymentId: string },
): Promise<Launches> {
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const [deployment] = await tx
      .select({ channelId: deployments.appChannelId })
      .from(deployments)
      .where(and(eq(deployments.id, key.deploymentId), eq(deployments.appId, key.appId)))
    if (!deployment) throw new Problem('not-found', 'This app has no such deployment.')
    requireChannelScope(ctx, 'deployments:read', deployment.channelId)
    const ofThis = eq(launchCounts.deploymentId, key.deploymentId)
    const [all] = await tx.select(sums).from(launchCounts).where(ofThis)
    const hours = await tx
      .select({ bucket: launchCounts.bucket, ...sums })
      .from(launchCounts)
      .where(ofThis)
      .groupBy(launchCounts.bucket)
      .orderBy(desc(launchCounts.bucket))
      .limit(MAX_BUCKETS)
    return { confirmed: 0, failed: 0, blocked: 0, ...all, hours: hours.toReversed() }
  })
}
