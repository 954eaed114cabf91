import { type bundles, channels, deployments, rollouts, type Transaction, withOrg } from '@capstan/migrations'
import { and, eq, gte, isNotNull, ne } from 'drizzle-orm'
import type { Context } from '../context.js'
import { Problem } from '../problems.js'
import { type Change, contentOf, hashContent } from './change.js'
import { digestOf, share } from './observe.js'
import { type By, findPolicy } from './queries.js'
import { recordAfterwards } from './record-afterwards.js'
import { findMismatch, refuseFrozen } from './refuse-frozen.js'
import { type Approval, requireApproval } from './require-approval.js'
import { type Spent, spendApproval } from './spend-approval.js'
import { supersede } from './supersede.js'

type Channel = typeof channels.$inferSelect
type Bundle = Pick<typeof bundles.$inferSelect, 'id' | 'appId' | 'checksum' | 'releaseSequence'>

/** A bundle that becomes the current one of a channel. */
export type Release = { channel: Channel; bundle: Bundle; percentage: number }

/** `approval`: by somebody else first; `record`: at once, and approved afterwards. */
export type Consent = 'none' | 'record' | 'approval'

/**
 * What a release on this channel needs. To go back to what it served before, to as many devices as that reached, never
 * needs anybody. The rows must be those that are there now: in the transaction of the change, under the channel's lock.
 */
export async function consentFor(tx: Transaction, orgId: string, release: Release): Promise<Consent> {
  if (!(await findPolicy(tx, orgId)).enabled) return 'none'
  const { channel, bundle } = release
  const guarded = channel.protectedAt !== null
  if (await isGoingBack(tx, release)) return guarded ? 'record' : 'none'
  await refuseFrozen(tx, bundle.appId)
  return guarded ? 'approval' : 'none'
}

async function isGoingBack(tx: Transaction, { channel, bundle, percentage }: Release): Promise<boolean> {
  if (channel.appDeploymentId === null) return false
  const [before] = await tx
    .select({ id: deployments.id })
    .from(deployments)
    .where(
      and(
        eq(deployments.appChannelId, channel.id),
        eq(deployments.bundleId, bundle.id),
        ne(deployments.id, channel.appDeploymentId),
        gte(deployments.rolloutPercentage, percentage),
      ),
    )
    .limit(1)
  return before !== undefined
}

/** Before the transaction that releases: null where nobody has to be asked. */
export async function approveRelease(ctx: Context, release: Release): Promise<Approval | null> {
  const { consent, digest } = await withOrg(ctx.db, ctx.orgId, async (tx) => ({
    consent: await consentFor(tx, ctx.orgId, release),
    digest: await digestOf(tx, release.bundle),
  }))
  return consent === 'approval' ? requireApproval(ctx, describeRelease(release, digest)) : null
}

function describeRelease({ channel, bundle, percentage }: Release, digest: string | null): Change {
  return {
    action: 'deployment.create',
    subject: { app: bundle.appId, channel: channel.id },
    effect: { bundle: digest, release: bundle.releaseSequence, percentage: share(percentage) },
    details: { channel: channel.name },
  }
}

/**
 * The last thing before the audit event of a release: uses the approval up, if it is for exactly this, or records what
 * may be done at once. `entities` are those of the channel before it was changed.
 */
export async function settleRelease(
  tx: Transaction,
  by: By,
  release: Release,
  { consent, approval, entities }: { consent: Consent; approval: Approval | null; entities: readonly string[] },
): Promise<Spent | null> {
  const entity = `channel-deployment/${release.channel.id}`
  if (consent === 'none') {
    await supersede(tx, by, { entities: [entity, ...entities], by: null })
    return null
  }
  const change = describeRelease(release, await digestOf(tx, release.bundle))
  if (consent === 'record') {
    await recordAfterwards(tx, by, { ...change, action: 'deployment.rollback', entity, supersedes: entities })
    return null
  }
  if (approval?.contentHash !== hashContent(contentOf(by.orgId, change))) {
    throw new Problem('approval-stale', 'The channel was changed at the same moment. Do the same again: it asks anew.')
  }
  return spendApproval(tx, by, approval, { entity, supersedes: entities })
}

/** What records may be about on a channel as it is now: its deployment, and the rollout that set it. */
export async function releaseEntities(tx: Transaction, channelId: string): Promise<string[]> {
  const current = await tx
    .select({ id: rollouts.id })
    .from(rollouts)
    .innerJoin(channels, eq(channels.id, rollouts.appChannelId))
    .where(and(eq(channels.id, channelId), eq(rollouts.deploymentId, channels.appDeploymentId)))
  return [`channel-deployment/${channelId}`, ...current.flatMap(({ id }) => [`rollout/${id}`, `rollout-pause/${id}`])]
}

/** Whether the next step of a rollout may be taken without asking anybody: its plan was approved, or need not be. */
export async function mayWiden(
  tx: Transaction,
  rollout: Pick<typeof rollouts.$inferSelect, 'orgId' | 'appId' | 'appChannelId' | 'changeRequestId'>,
): Promise<'yes' | 'frozen' | 'unapproved'> {
  if (!(await findPolicy(tx, rollout.orgId)).enabled) return 'yes'
  if (rollout.changeRequestId === null && (await isProtected(tx, rollout.appChannelId))) return 'unapproved'
  return (await findMismatch(tx, rollout.appId)) === null ? 'yes' : 'frozen'
}

/** Whether changes of what this channel gives out need somebody else. */
export async function isGuarded(tx: Transaction, orgId: string, channelId: string): Promise<boolean> {
  return (await findPolicy(tx, orgId)).enabled && (await isProtected(tx, channelId))
}

async function isProtected(tx: Transaction, channelId: string): Promise<boolean> {
  return (await tx.$count(channels, and(eq(channels.id, channelId), isNotNull(channels.protectedAt)))) > 0
}
