import { appRepositories, withOrg } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'

/** Builds that were requested before keep their source. Asking again changes nothing. */
export async function unlinkRepository(ctx: Context, appId: string): Promise<void> {
  requireScope(ctx, 'apps:write')
  await withOrg(ctx.db, ctx.orgId, async (tx) => {
    const removed = await tx.delete(appRepositories).where(eq(appRepositories.appId, appId)).returning()
    if (removed.length > 0) await recordAudit(tx, ctx, { action: 'repository.unlinked', target: { app: appId } })
  })
}
