import { deployments, withOrg } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { type Context, requireChannelScope } from '../context.js'
import { requireCountedChannel } from './queries.js'

export type GetChannel = { appId: string; channelId: string }

/** A channel and its active deployment, null when it has none. */
export async function getChannel(ctx: Context, input: GetChannel) {
  requireChannelScope(ctx, 'channels:read', input.channelId)
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const channel = await requireCountedChannel(tx, input.appId, input.channelId)
    if (!channel.appDeploymentId) return { channel, deployment: null }
    const [deployment] = await tx.select().from(deployments).where(eq(deployments.id, channel.appDeploymentId))
    return { channel, deployment: deployment ?? null }
  })
}
