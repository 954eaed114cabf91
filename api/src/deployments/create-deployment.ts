import { withOrg, type deployments } from '@capstan/migrations'
import { bundleOfBuild } from '../bundles/bundle-of-build.js'
import { bundleIsSigned } from '../bundles/bundle-is-signed.js'
import { limitChecks } from '../bundles/limit-checks.js'
import { zipReadyBundle } from '../bundles/zip-for-mixing.js'
import { approveRelease } from '../change-requests/deployment-consent.js'
import { type ChannelKey, requireChannel } from '../channels/queries.js'
import { type Context, requireChannelScope } from '../context.js'
import { deployBundle } from './deploy-bundle.js'

export type CreateDeployment = { appId: string; appBuildId: string; channel: ChannelKey; rolloutPercentage: number }

/** Deploys the bundle of a web build to a channel. A rollback is the same with an older build. */
export async function createDeployment(
  ctx: Context,
  input: CreateDeployment,
): Promise<{ deployment: typeof deployments.$inferSelect; channelName: string }> {
  const channel = await withOrg(ctx.db, ctx.orgId, (tx) => requireChannel(tx, input.appId, input.channel))
  requireChannelScope(ctx, 'deployments:write', channel.id)
  const bundle = await zipReadyBundle(ctx, await bundleOfBuild(ctx, { appId: input.appId, buildId: input.appBuildId }))
  const signed = channel.protectedAt !== null && (await limitChecks(() => bundleIsSigned(ctx, bundle)))
  const approval = await approveRelease(ctx, { channel, bundle, percentage: input.rolloutPercentage })
  return withOrg(ctx.db, ctx.orgId, async (tx) => ({
    deployment: await deployBundle(tx, ctx, { ...input, bundle, channel: { id: channel.id }, signed, approval }),
    channelName: channel.name,
  }))
}
