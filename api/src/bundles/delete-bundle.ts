import { bundles, bundlePatches, channels, deployments, withOrg } from '@capstan/migrations'
import { asc, eq, inArray } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { deleteDiscarded } from '../jobs/delete-discarded.js'
import { noteDiscarded } from '../objects/note-discarded.js'
import { bundleObjectFolder, requireBundle } from './queries.js'

/** Deletes a bundle with its deployments and bytes. Devices that run it keep it. */
export async function deleteBundle(ctx: Context, input: { appId: string; bundleId: string }): Promise<void> {
  requireScope(ctx, 'bundles:write')
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
    // Those that lead to it lie in its folder; those that lead away from it in the folders of others.
    const patches = await tx
      .delete(bundlePatches)
      .where(eq(bundlePatches.fromBundleId, bundle.id))
      .returning({ objectKey: bundlePatches.objectKey })
    await tx.delete(bundles).where(eq(bundles.id, bundle.id))
    await recordAudit(tx, ctx, { action: 'bundle.deleted', target: { app: input.appId, bundle: bundle.id } })
    const ofPatches = patches.flatMap(({ objectKey }) => objectKey ?? [])
    const keys = [...ofPatches, `${bundleObjectFolder(bundle)}/`]
    await noteDiscarded(tx, ctx.orgId, keys)
    return keys
  })
  await deleteDiscarded(ctx.objects, ctx.log, discarded)
}
