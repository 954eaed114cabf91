import { apps, jobs, withOrg } from '@capstan/migrations'
import { and, eq, isNull } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'

/** Deletes the app with its credentials, builds, bundles and devices, then the objects that belonged to them. */
export async function deleteApp(ctx: Context, appId: string): Promise<void> {
  requireScope(ctx, 'apps:write')
  await withOrg(ctx.db, ctx.orgId, async (tx) => {
    const unfinished = await tx
      .select({ id: jobs.id })
      .from(jobs)
      .where(and(eq(jobs.appId, appId), isNull(jobs.finishedAt)))
      .limit(1)
    if (unfinished.length > 0) {
      throw new Problem('app-busy', 'The app has unfinished builds. Cancel them, then delete the app.')
    }
    await tx.delete(apps).where(eq(apps.id, appId))
    await recordAudit(tx, ctx, { action: 'app.deleted', target: { app: appId } })
  })
  for await (const { key } of ctx.objects.list(appObjectPrefix(ctx.orgId, appId))) await ctx.objects.delete(key)
}

/** Every object of an app has a key below this one. */
export function appObjectPrefix(orgId: string, appId: string): string {
  return `orgs/${orgId}/apps/${appId}/`
}
