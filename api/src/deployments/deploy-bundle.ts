import { bundles, channels, deployments, newId, type Transaction } from '@capstan/migrations'
import type { ReleaseStatement } from '@capstan/sdk/release'
import { and, desc, eq, isNotNull, sql } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { findCopyHazard } from '../bundles/copy-hazards.js'
import { readReleaseClaims } from '../bundles/read-release-claims.js'
import { consentFor, mayWiden, releaseEntities, settleRelease } from '../change-requests/deployment-consent.js'
import type { Approval } from '../change-requests/require-approval.js'
import type { Spent } from '../change-requests/spend-approval.js'
import { supersede } from '../change-requests/supersede.js'
import { type ChannelKey, requireChannel } from '../channels/queries.js'
import type { Context } from '../context.js'
import { planPatches } from '../patches/plan-patches.js'
import { Problem } from '../problems.js'
import { endSuperseded } from '../rollouts/end-superseded.js'
import { findNewestRoot, readRootClaims } from '../roots/queries.js'

type Bundle = typeof bundles.$inferSelect

export type DeployBundle = {
  bundle: Bundle
  channel: ChannelKey
  rolloutPercentage: number
  /** Whether every byte of the bundle is signed, by a registered key where the app has one. */
  signed: boolean
  /** Somebody else's consent, where the organization demands one. */
  approval: Approval | null
  /** The rollout that this is the start of: who planned it, and the request by which its plan was approved. */
  rollout?: { id: string; createdBy: string | null; changeRequestId: string | null }
}

type Deployer = Pick<Context, 'orgId' | 'actor' | 'requestId' | 'now'>

/** Makes a bundle the current one of a channel, inside the transaction of the operation that asked for it. */
export async function deployBundle(
  tx: Transaction,
  ctx: Deployer,
  input: DeployBundle,
): Promise<typeof deployments.$inferSelect> {
  const { bundle } = input
  // The lock comes before the new id, so that the newest id is the current deployment.
  const channel = await requireChannel(tx, bundle.appId, input.channel, { lock: true })
  await checkDeployable(tx, bundle, channel, input.signed)
  const settle = await seekConsent(tx, ctx, channel, input)
  await endSuperseded(tx, ctx, channel.id, ctx.now())
  const [deployment] = await tx
    .insert(deployments)
    .values({
      id: newId(),
      orgId: ctx.orgId,
      appId: bundle.appId,
      appBuildId: bundle.buildId,
      appChannelId: channel.id,
      bundleId: bundle.id,
      rolloutPercentage: input.rolloutPercentage,
      createdBy: input.rollout?.createdBy ?? (ctx.actor.type === 'user' ? ctx.actor.id : null),
    })
    .returning()
  if (!deployment) throw new Error('The deployment was not inserted.')
  await tx
    .update(channels)
    .set({ appDeploymentId: deployment.id, updatedAt: sql`now()` })
    .where(eq(channels.id, channel.id))
  await planPatches(tx, bundle, channel.id)
  const approval = await settle()
  await recordAudit(tx, ctx, {
    action: 'deployment.created',
    target: {
      app: bundle.appId,
      channel: channel.id,
      deployment: deployment.id,
      bundle: bundle.id,
      ...(input.rollout ? { rollout: input.rollout.id } : {}),
    },
    data: { rolloutPercentage: String(input.rolloutPercentage), ...(approval && { approval }) },
  })
  return deployment
}

/** Judged by the channel as it is before the change; the answer settles it after the change, before the audit event. */
async function seekConsent(
  tx: Transaction,
  ctx: Deployer,
  channel: typeof channels.$inferSelect,
  { bundle, rolloutPercentage, approval, rollout }: DeployBundle,
): Promise<() => Promise<Spent | null>> {
  const entities = await releaseEntities(tx, channel.id)
  if (rollout === undefined) {
    const release = { channel, bundle, percentage: rolloutPercentage }
    const consent = await consentFor(tx, ctx.orgId, release)
    return () => settleRelease(tx, ctx, release, { consent, approval, entities })
  }
  const { changeRequestId } = rollout
  refuseUnplanned(
    await mayWiden(tx, { orgId: ctx.orgId, appId: bundle.appId, appChannelId: channel.id, changeRequestId }),
  )
  return async () => {
    await supersede(tx, ctx, { entities, by: changeRequestId })
    return null
  }
}

function refuseUnplanned(may: Awaited<ReturnType<typeof mayWiden>>): void {
  if (may === 'yes') return
  throw may === 'frozen'
    ? new Problem('rollouts-frozen', 'What devices get of this app is not what was approved.')
    : new Problem('approval-needed', 'The plan of this rollout was not approved. Abort it, and plan it again.')
}

/** What stands in the way of a bundle on a channel: every device would refuse it, or take harm from it. */
export async function checkDeployable(
  tx: Transaction,
  bundle: Bundle,
  channel: typeof channels.$inferSelect,
  signed: boolean,
): Promise<void> {
  if (bundle.status !== 'ready')
    throw new Problem('bundle-not-ready', 'The bundle is not uploaded completely. Finish the upload first.')
  if (channel.protectedAt && !signed) {
    throw new Problem(
      'channel-protected',
      `Channel "${channel.name}" is protected: it takes bundles whose every file is signed by a key of the app.`,
    )
  }
  await checkRelease(tx, bundle, channel)
  await checkCopies(tx, bundle, channel)
}

/** Devices on what the channel serves now must come out right; the rest is looked at when each of them asks. */
async function checkCopies(tx: Transaction, bundle: Bundle, channel: typeof channels.$inferSelect): Promise<void> {
  if (bundle.artifactType !== 'manifest' || bundle.zipObjectKey !== null || channel.appDeploymentId === null) return
  const [current] = await tx
    .select({ bundleId: deployments.bundleId })
    .from(deployments)
    .where(eq(deployments.id, channel.appDeploymentId))
  const href = current ? await findCopyHazard(tx, { from: current.bundleId, to: bundle.id }) : null
  if (href === null) return
  throw new Problem(
    'bundle-copy-hazard',
    `"${href}" has content that another file had before; devices would keep the old file there. Publish this version with artifact type "zip", which for signed files only you can make.`,
  )
}

/** Every device of the channel would refuse these; the person who deploys learns it now. */
async function checkRelease(tx: Transaction, bundle: Bundle, channel: typeof channels.$inferSelect): Promise<void> {
  if (!bundle.releaseEnvelope) return
  const { release } = await readReleaseClaims(bundle.releaseEnvelope)
  if (!release.channels.includes(channel.name)) {
    throw new Problem(
      'release-invalid',
      `The release statement does not name channel "${channel.name}". Sign one that does.`,
    )
  }
  await checkRoot(tx, bundle.appId, release)
  const [newest] = await tx
    .select({ bundleId: bundles.id, sequence: bundles.releaseSequence })
    .from(deployments)
    .innerJoin(bundles, eq(bundles.id, deployments.bundleId))
    .where(and(eq(deployments.appChannelId, channel.id), isNotNull(bundles.releaseSequence)))
    .orderBy(desc(bundles.releaseSequence))
    .limit(1)
  if (!newest || newest.sequence === null || newest.bundleId === bundle.id || newest.sequence < release.sequence) return
  throw new Problem(
    'release-invalid',
    `Devices have seen release ${newest.sequence} on channel "${channel.name}" and refuse another release ${release.sequence}. Publish with a higher sequence, also to go back to old content.`,
  )
}

async function checkRoot(tx: Transaction, appId: string, release: ReleaseStatement): Promise<void> {
  const newest = await findNewestRoot(tx, appId)
  const version = newest?.version ?? 1
  if (release.rootVersion > version) {
    throw new Problem(
      'release-invalid',
      `The release names root version ${release.rootVersion}, and the newest root of this app here is ${version}. Send the root statement first.`,
    )
  }
  if (!newest || !readRootClaims(newest).revokedBundleIds.includes(release.bundleId)) return
  throw new Problem('release-invalid', `Root statement ${version} revokes bundle "${release.bundleId}".`)
}
