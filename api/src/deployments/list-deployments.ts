import { builds, channels, deployments, withOrg } from '@capstan/migrations'
import { and, desc, eq, inArray } from 'drizzle-orm'
import { type Context, readableChannels } from '../context.js'
import { Problem } from '../problems.js'

export type ListDeployments = {
  appId: string
  id?: string | undefined
  appBuildId?: string | undefined
  appChannelId?: string | undefined
  limit: number
  offset: number
}

/** Newest first: the first one of a channel is the one it serves. */
export async function listDeployments(ctx: Context, input: ListDeployments) {
  const limit = readableChannels(ctx, 'deployments:read')
  return withOrg(ctx.db, ctx.orgId, (tx) =>
    tx
      .select({ deployment: deployments, build: builds, channelName: channels.name })
      .from(deployments)
      .innerJoin(builds, eq(builds.id, deployments.appBuildId))
      .innerJoin(channels, eq(channels.id, deployments.appChannelId))
      .where(
        and(
          eq(deployments.appId, input.appId),
          limit ? inArray(deployments.appChannelId, [...limit]) : undefined,
          input.id ? eq(deployments.id, input.id) : undefined,
          input.appBuildId ? eq(deployments.appBuildId, input.appBuildId) : undefined,
          input.appChannelId ? eq(deployments.appChannelId, input.appChannelId) : undefined,
        ),
      )
      .orderBy(desc(deployments.id))
      .limit(input.limit)
      .offset(input.offset),
  )
}

export async function getDeployment(ctx: Context, input: { appId: string; deploymentId: string }) {
  const [found] = await listDeployments(ctx, { appId: input.appId, id: input.deploymentId, limit: 1, offset: 0 })
  if (!found) throw new Problem('not-found', 'This app has no such deployment.')
  return found
}
