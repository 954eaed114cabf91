import { bundles, bundlePatches, deployments, embeddedBundles, newId, type Transaction } from '@capstan/migrations'
import { and, desc, eq, inArray, isNotNull, isNull, ne, sql } from 'drizzle-orm'

type Bundle = typeof bundles.$inferSelect

const LAST_BUNDLES = 5
const EMBEDDED_BUNDLES = 20

/** A device applies patches to and from bundles whose signed file list it knows, and whose bytes we have. */
const patchable = and(
  eq(bundles.status, 'ready'),
  eq(bundles.artifactType, 'zip'),
  isNull(bundles.url),
  isNotNull(bundles.releaseEnvelope),
)

/**
 * Orders the patches that lead to a bundle: from what the channel served last, and from what native versions were shipped
 * with. The control process makes them; whoever deploys waits for nothing.
 */
export async function planPatches(tx: Transaction, to: Bundle, channelId: string): Promise<void> {
  if (!to.releaseEnvelope || to.artifactType !== 'zip' || to.url !== null) return
  const served = await tx
    .select({ bundleId: bundles.id })
    .from(deployments)
    .innerJoin(bundles, eq(bundles.id, deployments.bundleId))
    .where(and(eq(deployments.appChannelId, channelId), ne(bundles.id, to.id), patchable))
    .groupBy(bundles.id)
    .orderBy(desc(sql`max(${deployments.id}::text)`))
    .limit(LAST_BUNDLES)
  const embedded = await tx
    .select({ bundleId: embeddedBundles.bundleId })
    .from(embeddedBundles)
    .where(and(eq(embeddedBundles.appId, to.appId), ne(embeddedBundles.bundleId, to.id)))
    .orderBy(desc(embeddedBundles.createdAt))
    .limit(EMBEDDED_BUNDLES)
  await forgetSuperseded(tx, to.appId)
  await orderPatches(
    tx,
    to,
    [...served, ...embedded].map(({ bundleId }) => bundleId),
  )
}

/** Whoever deploys often has no more waiting than what leads to the bundles that are current. */
async function forgetSuperseded(tx: Transaction, appId: string): Promise<void> {
  await tx
    .update(bundlePatches)
    .set({ wantedEffort: null, refusal: 'A newer bundle took its place before it was made.' })
    .where(
      and(
        eq(bundlePatches.appId, appId),
        isNotNull(bundlePatches.wantedEffort),
        sql`not exists (select 1 from channels c join deployments d on d.id = c.app_deployment_id
          where c.app_id = ${appId} and d.bundle_id = ${bundlePatches.toBundleId})`,
      ),
    )
}

/** Orders the patches from a bundle that was shipped with the app to what each channel serves now. */
export async function planPatchesFrom(tx: Transaction, from: Bundle): Promise<void> {
  const current = await tx
    .selectDistinct({ id: bundles.id })
    .from(bundles)
    .innerJoin(deployments, eq(deployments.bundleId, bundles.id))
    .where(
      and(
        eq(bundles.appId, from.appId),
        ne(bundles.id, from.id),
        patchable,
        sql`exists (select 1 from channels c where c.app_deployment_id = ${deployments.id})`,
      ),
    )
  if (current.length === 0) return
  const targets = await tx
    .select()
    .from(bundles)
    .where(
      inArray(
        bundles.id,
        current.map(({ id }) => id),
      ),
    )
  for (const to of targets) await orderPatches(tx, to, [from.id])
}

async function orderPatches(tx: Transaction, to: Bundle, from: readonly string[]): Promise<void> {
  const rows = [...new Set(from)].map((fromBundleId) => ({
    id: newId(),
    orgId: to.orgId,
    appId: to.appId,
    fromBundleId,
    toBundleId: to.id,
  }))
  if (rows.length > 0) await tx.insert(bundlePatches).values(rows).onConflictDoNothing()
}
