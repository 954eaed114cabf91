import { bundles, withOrg, type deployments } from '@capstan/migrations'
import { and, eq } from 'drizzle-orm'
import { bundleIsSigned } from '../bundles/bundle-is-signed.js'
import { type ChannelKey, requireChannel } from '../channels/queries.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import { deployBundle } from './deploy-bundle.js'

export type CreateDeployment = { appId: string; appBuildId: string; channel: ChannelKey; rolloutPercentage: number }

/** Deploys the bundle of a web build to a channel. A rollback is the same with an older build. */
export async function createDeployment(
  ctx: Context,
  input: CreateDeployment,
): Promise<{ deployment: typeof deployments.$inferSelect; channelName: string }> {
  requireScope(ctx, 'deployments:write')
  const { bundle, channel } = await withOrg(ctx.db, ctx.orgId, async (tx) => {
    const [bundle] = await tx
      .select()
      .from(bundles)
      .where(and(eq(bundles.appId, input.appId), eq(bundles.buildId, input.appBuildId)))
    if (!bundle) throw new Problem('not-found', 'This app has no build of this id with a live-update bundle.')
    return { bundle, channel: await requireChannel(tx, input.appId, input.channel) }
  })
  const signed = channel.protectedAt !== null && (await bundleIsSigned(ctx, bundle))
  return withOrg(ctx.db, ctx.orgId, async (tx) => ({
    deployment: await deployBundle(tx, ctx, { ...input, bundle, channel: { id: channel.id }, signed }),
    channelName: channel.name,
  }))
}
