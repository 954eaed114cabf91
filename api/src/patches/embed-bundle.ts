import { embeddedBundles, withOrg } from '@capstan/migrations'
import { sql } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { requireBundle } from '../bundles/queries.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import { planPatchesFrom } from './plan-patches.js'

export type EmbedBundle = {
  appId: string
  platform: 'android' | 'ios' | 'electron' | 'web'
  versionCode: string
  bundleId: string
}

/** Notes that a native version of the app was shipped with a bundle, so that patches lead away from it. */
export async function embedBundle(ctx: Context, input: EmbedBundle): Promise<typeof embeddedBundles.$inferSelect> {
  requireScope(ctx, 'bundles:write')
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const bundle = await requireBundle(tx, input.appId, input.bundleId)
    if (bundle.status !== 'ready')
      throw new Problem('bundle-not-ready', 'The bundle is not uploaded completely. Finish the upload first.')
    if (bundle.artifactType !== 'zip' || bundle.url !== null)
      throw new Problem('request-invalid', 'bundleId: patches lead away from zip bundles that are kept here.')
    const { appId, platform, versionCode, bundleId } = input
    const [embedded] = await tx
      .insert(embeddedBundles)
      .values({ orgId: ctx.orgId, appId, platform, versionCode, bundleId })
      .onConflictDoUpdate({
        target: [embeddedBundles.appId, embeddedBundles.platform, embeddedBundles.versionCode],
        set: { bundleId, createdAt: sql`now()` },
      })
      .returning()
    if (!embedded) throw new Error('The embedded bundle was not noted.')
    await planPatchesFrom(tx, bundle)
    await recordAudit(tx, ctx, {
      action: 'bundle.embedded',
      target: { app: appId, bundle: bundleId },
      data: { platform, versionCode },
    })
    return embedded
  })
}
