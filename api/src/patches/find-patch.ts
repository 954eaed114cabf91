import { bundlePatches, bundles, withOrg } from '@capstan/migrations'
import { and, eq } from 'drizzle-orm'
import type { Context } from '../context.js'
import { Problem } from '../problems.js'

export type FindPatch = { appId: string; bundleId: string; sha256: string }

export type DeliveredPatch = { objectKey: string; sizeBytes: number; sha256: string }

/** A patch that is offered, by what it leads to and by its bytes. */
export async function findPatch(ctx: Context, { appId, bundleId, sha256 }: FindPatch): Promise<DeliveredPatch> {
  const [found] = await withOrg(ctx.db, ctx.orgId, (tx) =>
    tx
      .select({ objectKey: bundlePatches.objectKey, sizeBytes: bundlePatches.sizeBytes })
      .from(bundlePatches)
      .innerJoin(bundles, eq(bundles.id, bundlePatches.toBundleId))
      .where(
        and(
          eq(bundlePatches.appId, appId),
          eq(bundlePatches.toBundleId, bundleId),
          eq(bundlePatches.sha256, sha256),
          eq(bundles.status, 'ready'),
        ),
      ),
  )
  if (!found?.objectKey || found.sizeBytes === null)
    throw new Problem('not-found', 'This patch is not offered any more. Ask for the latest bundle again.')
  return { objectKey: found.objectKey, sizeBytes: found.sizeBytes, sha256 }
}
