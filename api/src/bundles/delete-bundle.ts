import { bundles, withOrg } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { bundleObjectFolder, requireBundle } from './queries.js'

/** Deletes a bundle with its deployments and bytes. Devices that run it keep it. */
export async function deleteBundle(ctx: Context, input: { appId: string; bundleId: string }): Promise<void> {
  requireScope(ctx, 'bundles:write')
  const bundle = await withOrg(ctx.db, ctx.orgId, async (tx) => {
    const bundle = await requireBundle(tx, input.appId, input.bundleId)
    await tx.delete(bundles).where(eq(bundles.id, bundle.id))
    await recordAudit(tx, ctx, { action: 'bundle.deleted', target: { app: input.appId, bundle: bundle.id } })
    return bundle
  })
  for await (const { key } of ctx.objects.list(`${bundleObjectFolder(bundle)}/`)) await ctx.objects.delete(key)
}
