import {
  appPublicKeys,
  appRoots,
  apps,
  bundleFiles,
  bundles,
  channels,
  credentials,
  credentialVersions,
  deployments,
  memberships,
  organizations,
  rollouts,
  type Transaction,
} from '@capstan/migrations'
import { and, desc, eq, isNull } from 'drizzle-orm'
import type { CanonicalValue } from '../audit/canonical-json.js'
import { MANIFEST_NAME } from '../bundles/check-manifest.js'

/** What there is of an entity now, under the names that the effects of changes use; null: nothing to compare with. */
export type Observed = Record<string, CanonicalValue>
type Observer = (tx: Transaction, id: string) => Promise<Observed | null>

const observers: Record<string, Observer> = {
  'channel-deployment': observeChannel,
  deployment: observeDeployment,
  rollout: observeRollout,
  'rollout-pause': async (tx, id) => {
    const [row] = await tx.select({ status: rollouts.status }).from(rollouts).where(eq(rollouts.id, id))
    return row ? { running: row.status === 'running' } : null
  },
  'channel-pause': async (tx, id) => {
    const [row] = await tx.select({ pausedAt: channels.pausedAt }).from(channels).where(eq(channels.id, id))
    return row ? { paused: row.pausedAt !== null } : null
  },
  'channel-protection': async (tx, id) => {
    const [row] = await tx.select().from(channels).where(eq(channels.id, id))
    return row ? { exists: true, name: row.name, protected: row.protectedAt !== null } : { exists: false }
  },
  credential: observeCredential,
  'credential-version': async (tx, id) => {
    const [row] = await tx
      .select({ status: credentialVersions.status })
      .from(credentialVersions)
      .where(eq(credentialVersions.id, id))
    if (!row) return null
    return { usable: row.status === 'active' || row.status === 'validated', destroyed: row.status === 'destroyed' }
  },
  bundle: async (tx, id) => ({ exists: (await tx.$count(bundles, eq(bundles.id, id))) > 0 }),
  app: async (tx, id) => ({ exists: (await tx.$count(apps, eq(apps.id, id))) > 0 }),
  'app-channel': async (tx, id) => {
    const [row] = await tx.select({ channel: apps.appChannelId }).from(apps).where(eq(apps.id, id))
    return row ? { defaultChannel: row.channel } : null
  },
  'app-egress': async (tx, id) => {
    const [row] = await tx.select({ hosts: apps.egressHosts }).from(apps).where(eq(apps.id, id))
    return row ? { egressHosts: row.hosts } : null
  },
  'public-key': async (tx, id) => {
    const [row] = await tx.select().from(appPublicKeys).where(eq(appPublicKeys.id, id))
    return row ? { fingerprint: row.fingerprintSha256, revoked: row.revokedAt !== null } : null
  },
  'app-root': async (tx, id) => {
    const newest = tx.select().from(appRoots).where(eq(appRoots.appId, id))
    const [row] = await newest.orderBy(desc(appRoots.version)).limit(1)
    return row ? { sha256: row.sha256 } : null
  },
  membership: async (tx, id) => {
    const [row] = await tx.select({ role: memberships.role }).from(memberships).where(eq(memberships.userId, id))
    return { role: row?.role ?? null }
  },
  'organization-retention': async (tx, id) => {
    const [row] = await tx.select().from(organizations).where(eq(organizations.id, id))
    return row ? { artifactRetentionDays: row.artifactRetentionDays } : null
  },
}

export async function observe(tx: Transaction, entity: string): Promise<Observed | null> {
  const [kind = '', id = ''] = entity.split('/')
  const observer = observers[kind]
  return observer ? observer(tx, id) : null
}

/** The bytes of a bundle by one hash: of its zip, or of the manifest that names every other file. */
export async function digestOf(
  tx: Transaction,
  bundle: Pick<typeof bundles.$inferSelect, 'id' | 'checksum'>,
): Promise<string | null> {
  if (bundle.checksum !== null) return bundle.checksum
  const [manifest] = await tx
    .select({ sha256: bundleFiles.sha256 })
    .from(bundleFiles)
    .where(and(eq(bundleFiles.bundleId, bundle.id), eq(bundleFiles.href, MANIFEST_NAME)))
  return manifest?.sha256 ?? null
}

/** Shares are no integers, for which canonical JSON has one spelling only. */
export const share = (percentage: number): string => String(percentage)

async function observeDeployment(tx: Transaction, id: string): Promise<Observed | null> {
  const [row] = await tx
    .select({ bundle: bundles, percentage: deployments.rolloutPercentage })
    .from(deployments)
    .innerJoin(bundles, eq(bundles.id, deployments.bundleId))
    .where(eq(deployments.id, id))
  if (!row) return null
  const { bundle, percentage } = row
  return { bundle: await digestOf(tx, bundle), release: bundle.releaseSequence, percentage: share(percentage) }
}

/** What the channel points at. */
async function observeChannel(tx: Transaction, id: string): Promise<Observed | null> {
  const [channel] = await tx.select({ current: channels.appDeploymentId }).from(channels).where(eq(channels.id, id))
  if (!channel || channel.current === null) return null
  return observeDeployment(tx, channel.current)
}

/** Its steps, and whether the channel points at it and is on the step that it is on itself. */
async function observeRollout(tx: Transaction, id: string): Promise<Observed | null> {
  const [row] = await tx
    .select({
      rollout: rollouts,
      bundle: bundles,
      percentage: deployments.rolloutPercentage,
      deployed: deployments.bundleId,
      current: channels.appDeploymentId,
    })
    .from(rollouts)
    .innerJoin(channels, eq(channels.id, rollouts.appChannelId))
    .innerJoin(bundles, eq(bundles.id, rollouts.bundleId))
    .leftJoin(deployments, eq(deployments.id, rollouts.deploymentId))
    .where(eq(rollouts.id, id))
  if (!row) return null
  const { rollout, bundle } = row
  const stopped = rollout.status === 'halted' || rollout.status === 'aborted'
  const planned = stopped ? 0 : (rollout.steps[rollout.step]?.percentage ?? 0)
  return {
    bundle: await digestOf(tx, bundle),
    release: bundle.releaseSequence,
    steps: presentSteps(rollout.steps),
    percentage: share(row.percentage ?? 0),
    onPlan:
      rollout.deploymentId === null ||
      (row.percentage === planned && row.deployed === bundle.id && row.current === rollout.deploymentId),
  }
}

export const presentSteps = (steps: readonly { percentage: number; dwellMs: number }[]): CanonicalValue =>
  steps.map(({ percentage, dwellMs }) => ({ percentage: share(percentage), dwellMs: Math.round(dwellMs) }))

async function observeCredential(tx: Transaction, id: string): Promise<Observed | null> {
  const [credential] = await tx.select({ id: credentials.id }).from(credentials).where(eq(credentials.id, id))
  if (!credential) return { exists: false }
  const [active] = await tx
    .select({ version: credentialVersions.version, fingerprint: credentialVersions.fingerprintSha256 })
    .from(credentialVersions)
    .where(
      and(
        eq(credentialVersions.credentialId, id),
        eq(credentialVersions.status, 'active'),
        isNull(credentialVersions.destroyedAt),
      ),
    )
  return { exists: true, activeVersion: active?.version ?? null, fingerprint: active?.fingerprint ?? null }
}
