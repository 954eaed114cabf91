import { isDeepStrictEqual } from 'node:util'
import { bundles, channels, deployments, withOrg, type Transaction } from '@capstan/migrations'
import { and, desc, eq, sql } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { approveRelease } from '../change-requests/deployment-consent.js'
import type { Approval } from '../change-requests/require-approval.js'
import { requireChannel } from '../channels/queries.js'
import { type Context, requireScope } from '../context.js'
import { deployBundle } from '../deployments/deploy-bundle.js'
import { Problem } from '../problems.js'
import { lockCopyHazards, recordCopyHazards } from './copy-hazards.js'
import { bundleIsSigned } from './bundle-is-signed.js'
import { checkContents, type CheckedContents } from './check-contents.js'
import { limitChecks } from './limit-checks.js'
import { type Bundle, listBundleFiles, requireBundle } from './queries.js'
import { zipForMixing } from './zip-for-mixing.js'

export type UpdateBundle = {
  appId: string
  bundleId: string
  artifactStatus?: 'ready' | undefined
  appBundleFileId?: string | undefined
  /** The customer's release statement in a DSSE envelope. */
  release?: Record<string, unknown> | undefined
}

/**
 * Makes an uploaded bundle ready: checks all of it, fixes its content for good, and deploys it to the channel that was
 * named when it was created. Asking again answers the same.
 */
export async function updateBundle(
  ctx: Context,
  input: UpdateBundle,
): Promise<{ bundle: Bundle; deploymentId: string | null }> {
  requireScope(ctx, 'bundles:write')
  const { bundle, files, channel } = await withOrg(ctx.db, ctx.orgId, async (tx) => {
    const bundle = await requireBundle(tx, input.appId, input.bundleId)
    return { bundle, files: await listBundleFiles(tx, bundle.id), channel: await findChannel(tx, bundle) }
  })
  if (input.artifactStatus !== 'ready') {
    if (input.release) throw new Problem('request-invalid', 'release: send it together with artifactStatus "ready".')
    return { bundle, deploymentId: await withOrg(ctx.db, ctx.orgId, (tx) => findDeployment(tx, bundle)) }
  }
  if (bundle.status === 'ready') return answerAgain(ctx, bundle, input)
  const { contents, signed } = await limitChecks(async () => ({
    contents: await checkContents(ctx, bundle, files, input),
    signed: channel?.protectedAt != null && (await bundleIsSigned(ctx, bundle)),
  }))
  const approval = channel && (await approveDeployment(ctx, channel, bundle, contents))
  const zip = await zipForMixing(ctx, bundle, files)
  const columns = { ...contents.columns, ...zip }
  const finished = await withOrg(ctx.db, ctx.orgId, (tx) =>
    finish(tx, ctx, { bundle, contents: { ...contents, columns }, signed, approval }),
  ).catch(async (error: unknown) => {
    if (zip) await ctx.objects.delete(zip.zipObjectKey)
    throw error
  })
  if (zip && finished.bundle.zipObjectKey !== zip.zipObjectKey) await ctx.objects.delete(zip.zipObjectKey)
  return finished
}

type Finishing = { bundle: Bundle; contents: CheckedContents; signed: boolean; approval: Approval | null }

/** The same bytes uploaded again are the same content: so the same command goes through once it was approved. */
function approveDeployment(ctx: Context, channel: Channel, bundle: Bundle, { columns }: CheckedContents) {
  const { checksum = bundle.checksum, releaseSequence = null } = columns
  const release = { channel, bundle: { ...bundle, checksum, releaseSequence }, percentage: bundle.rolloutPercentage }
  return approveRelease(ctx, release)
}

async function finish(
  tx: Transaction,
  ctx: Context,
  { bundle, contents, signed, approval }: Finishing,
): Promise<{ bundle: Bundle; deploymentId: string | null }> {
  if (bundle.artifactType === 'manifest') await lockCopyHazards(tx, bundle.appId)
  const [ready] = await tx
    .update(bundles)
    .set({ ...contents.columns, status: 'ready', readyAt: ctx.now(), updatedAt: sql`now()` })
    .where(and(eq(bundles.id, bundle.id), eq(bundles.status, 'pending')))
    .returning()
  if (!ready) {
    const now = await requireBundle(tx, bundle.appId, bundle.id)
    return { bundle: now, deploymentId: await findDeployment(tx, now) }
  }
  const files = await listBundleFiles(tx, bundle.id)
  if (files.length !== contents.fileCount) {
    throw new Problem(
      'bundle-incomplete',
      'A file arrived while the bundle was being checked. Send this request again.',
    )
  }
  if (ready.artifactType === 'manifest') await recordCopyHazards(tx, ready)
  if (ready.channelName !== null) await requireChannel(tx, ready.appId, { name: ready.channelName }, { lock: true })
  await recordAudit(tx, ctx, {
    action: 'bundle.readied',
    target: { app: bundle.appId, bundle: bundle.id },
    data: {
      files: contents.fileCount,
      sha256: contents.sha256,
      release: contents.columns.releaseSequence ?? null,
    },
  })
  if (ready.channelName === null) return { bundle: ready, deploymentId: null }
  const deployment = await deployBundle(tx, ctx, {
    bundle: ready,
    channel: { name: ready.channelName },
    rolloutPercentage: ready.rolloutPercentage,
    signed,
    approval,
  })
  return { bundle: ready, deploymentId: deployment.id }
}

async function answerAgain(ctx: Context, bundle: Bundle, input: UpdateBundle) {
  const otherFile = input.appBundleFileId !== undefined && input.appBundleFileId !== bundle.fileId
  const otherRelease = input.release !== undefined && !isDeepStrictEqual(input.release, bundle.releaseEnvelope)
  if (otherFile || otherRelease) {
    throw new Problem('bundle-immutable', 'The content of this bundle is fixed. Create a new bundle for other content.')
  }
  return { bundle, deploymentId: await withOrg(ctx.db, ctx.orgId, (tx) => findDeployment(tx, bundle)) }
}

type Channel = typeof channels.$inferSelect

async function findChannel(tx: Transaction, bundle: Bundle): Promise<Channel | null> {
  if (bundle.channelName === null) return null
  const [channel] = await tx
    .select()
    .from(channels)
    .where(and(eq(channels.appId, bundle.appId), eq(channels.name, bundle.channelName)))
  return channel ?? null
}

async function findDeployment(tx: Transaction, bundle: Bundle): Promise<string | null> {
  const [deployment] = await tx
    .select({ id: deployments.id })
    .from(deployments)
    .where(eq(deployments.bundleId, bundle.id))
    .orderBy(desc(deployments.id))
    .limit(1)
  return deployment?.id ?? null
}
