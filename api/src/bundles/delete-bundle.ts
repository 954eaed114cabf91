import { bundles, bundlePatches, channels, deployments, type Transaction, withOrg } from '@capstan/migrations'
import { and, asc, eq, inArray, isNotNull } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type Approval, requireApproval } from '../change-requests/require-approval.js'
import { spendApproval } from '../change-requests/spend-approval.js'
import { type Context, requireScope } from '../context.js'
import { deleteDiscarded } from '../jobs/delete-discarded.js'
import { noteDiscarded } from '../objects/note-discarded.js'
import { Problem } from '../problems.js'
import { bundleObjectFolder, requireBundle } from './queries.js'

/** Deletes a bundle with its deployments and bytes. Devices that run it keep it. */
export async function deleteBundle(ctx: Context, input: { appId: string; bundleId: string }): Promise<void> {
  requireScope(ctx, 'bundles:write')
  const approval = await approveDeletion(ctx, input)
  const discarded = await withOrg(ctx.db, ctx.orgId, async (tx) => {
    const bundle = await requireBundle(tx, input.appId, input.bundleId)
    const served = tx
      .select({ id: deployments.appChannelId })
      .from(deployments)
      .where(eq(deployments.bundleId, bundle.id))
    await tx
      .select({ id: channels.id })
      .from(channels)
      .where(inArray(channels.id, served))
      .orderBy(asc(channels.id))
      .for('no key update')
    const guarded = await isOnProtectedChannel(tx, bundle.id)
    if (guarded && approval === null)
      throw new Problem('request-conflict', 'The bundle was deployed at the same moment. Look again.')
    const spent = approval && (await spendApproval(tx, ctx, approval, { entity: `bundle/${bundle.id}` }))
    // Those that lead to it lie in its folder; those that lead away from it in the folders of others.
    const patches = await tx
      .delete(bundlePatches)
      .where(eq(bundlePatches.fromBundleId, bundle.id))
      .returning({ objectKey: bundlePatches.objectKey })
    await tx.delete(bundles).where(eq(bundles.id, bundle.id))
    await recordAudit(tx, ctx, {
      action: 'bundle.deleted',
      target: { app: input.appId, bundle: bundle.id },
      ...(spent && { data: { approval: spent } }),
    })
    const ofPatches = patches.flatMap(({ objectKey }) => objectKey ?? [])
    const keys = [...ofPatches, `${bundleObjectFolder(bundle)}/`]
    await noteDiscarded(tx, ctx.orgId, keys)
    return keys
  })
  await deleteDiscarded(ctx.objects, ctx.log, discarded)
}

/** Its deployments go with it, so devices of a protected channel would get something else. */
async function approveDeletion(ctx: Context, input: { appId: string; bundleId: string }): Promise<Approval | null> {
  const guarded = await withOrg(ctx.db, ctx.orgId, async (tx) => {
    const bundle = await requireBundle(tx, input.appId, input.bundleId)
    return isOnProtectedChannel(tx, bundle.id)
  })
  if (!guarded) return null
  const subject = { app: input.appId, bundle: input.bundleId }
  return requireApproval(ctx, { action: 'bundle.delete', subject, effect: { exists: false } })
}

async function isOnProtectedChannel(tx: Transaction, bundleId: string): Promise<boolean> {
  const [found] = await tx
    .select({ id: channels.id })
    .from(deployments)
    .innerJoin(channels, and(eq(channels.id, deployments.appChannelId), isNotNull(channels.protectedAt)))
    .where(eq(deployments.bundleId, bundleId))
    .limit(1)
  return found !== undefined
}
