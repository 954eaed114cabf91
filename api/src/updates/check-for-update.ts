import { apps, builds, bundles, channels, deployments, devices, withOrg, type Transaction } from '@capstan/migrations'
import { and, desc, eq, getTableColumns, lte } from 'drizzle-orm'
import { validate as isUuid } from 'uuid'
import { recallCopyHazard } from '../bundles/find-copy-hazard.js'
import type { Context } from '../context.js'
import { Problem } from '../problems.js'
import { chooseDeployment, type Candidate } from './choose-deployment.js'
import { recordDevice } from './record-device.js'

/** How far back the search for a device outside a rollout goes. */
const MAX_CANDIDATES = 25

export type CheckForUpdate = {
  appId: string
  deviceId: string | null
  platform: number
  osVersion: string | null
  appVersionCode: string | null
  appVersionName: string | null
  pluginVersion: string | null
  customId: string | null
  bundleId: string | null
  /** The ways to read the channel's name, the likelier first; none means the app's default channel. */
  channelNames: readonly string[]
}

type Channel = typeof channels.$inferSelect

/** Release statements are large, and only that of the chosen bundle is needed. */
const { releaseEnvelope: _, ...lightBundle } = getTableColumns(bundles)

/** What a device should run now, 404 `no-update` when it should stay as it is. */
export async function checkForUpdate(ctx: Context, input: CheckForUpdate): Promise<Candidate & { channel: Channel }> {
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const requested = await findRequestedChannel(tx, input)
    const forced = input.deviceId === null ? null : await findForcedChannel(tx, input.appId, input.deviceId)
    const channel = forced ?? requested
    const found = channel ? await choose(tx, ctx, channel, input) : noChannel(input)
    // Someone who looks through the API asks what a device would get; only the device itself checks in.
    if (ctx.actor.type === 'device' && input.deviceId !== null) {
      await recordDevice(tx, ctx, input, { requested, found: typeof found === 'string' ? null : found })
    }
    return typeof found === 'string' ? found : { ...found, channel: channel as Channel }
  }).then((found) => {
    if (typeof found === 'string') throw new Problem('no-update', found)
    return found
  })
}

async function choose(
  tx: Transaction,
  ctx: Context,
  channel: Channel,
  input: CheckForUpdate,
): Promise<Candidate | string> {
  if (channel.pausedAt) return `Channel "${channel.name}" is paused.`
  if (channel.expiresAt && channel.expiresAt <= ctx.now()) return `Channel "${channel.name}" has expired.`
  if (!channel.appDeploymentId) return `Channel "${channel.name}" has no deployment.`
  const candidates = await tx
    .select({ deployment: deployments, bundle: lightBundle, build: builds })
    .from(deployments)
    .innerJoin(bundles, eq(bundles.id, deployments.bundleId))
    .innerJoin(builds, eq(builds.id, deployments.appBuildId))
    .where(
      and(
        eq(deployments.appChannelId, channel.id),
        lte(deployments.id, channel.appDeploymentId),
        eq(bundles.status, 'ready'),
      ),
    )
    .orderBy(desc(deployments.id))
    .limit(MAX_CANDIDATES)
  const chosen = await chooseDeployment(candidates, { ...input, deviceId: input.deviceId ?? '' })
  if (chosen === 'outside-rollout') return 'The rollout has not reached this device.'
  if (chosen === 'native-version') return `The bundle is not for native version ${input.appVersionCode ?? '(unknown)'}.`
  if (chosen.bundle.artifactType === 'manifest' && input.bundleId !== null && isUuid(input.bundleId)) {
    const href = await recallCopyHazard(tx, { from: input.bundleId, to: chosen.bundle.id })
    if (href !== null) return `The device would mix up "${href}" with a file it has. Publish the bundle as a zip.`
  }
  const [release] = await tx
    .select({ releaseEnvelope: bundles.releaseEnvelope })
    .from(bundles)
    .where(eq(bundles.id, chosen.bundle.id))
  return { ...chosen, bundle: { ...chosen.bundle, releaseEnvelope: release?.releaseEnvelope ?? null } }
}

function noChannel({ channelNames }: CheckForUpdate): string {
  const [name] = channelNames
  return name === undefined
    ? 'The device named no channel, and the app has no default channel.'
    : `The app has no channel named "${name}".`
}

async function findRequestedChannel(tx: Transaction, input: CheckForUpdate): Promise<Channel | null> {
  for (const name of input.channelNames) {
    const [channel] = await tx
      .select()
      .from(channels)
      .where(and(eq(channels.appId, input.appId), eq(channels.name, name)))
    if (channel) return channel
  }
  if (input.channelNames.length > 0) return null
  const [byDefault] = await tx
    .select({ channel: channels })
    .from(apps)
    .innerJoin(channels, eq(channels.id, apps.appChannelId))
    .where(eq(apps.id, input.appId))
  return byDefault?.channel ?? null
}

async function findForcedChannel(tx: Transaction, appId: string, deviceId: string): Promise<Channel | null> {
  const [forced] = await tx
    .select({ channel: channels })
    .from(devices)
    .innerJoin(channels, eq(channels.id, devices.forcedAppChannelId))
    .where(and(eq(devices.appId, appId), eq(devices.id, deviceId)))
  return forced?.channel ?? null
}
