import { buildShares, withOrg } from '@capstan/migrations'
import { and, eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type BuildParams, findBuild } from '../builds/find-build.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'

/** The link leads nowhere from then on; downloads that it began end by themselves. */
export async function deleteShare(ctx: Context, params: BuildParams & { shareId: string }): Promise<void> {
  requireScope(ctx, 'builds:write')
  await withOrg(ctx.db, ctx.orgId, async (tx) => {
    const build = await findBuild(tx, params)
    const removed = await tx
      .delete(buildShares)
      .where(and(eq(buildShares.id, params.shareId), eq(buildShares.buildId, build.id)))
      .returning({ id: buildShares.id })
    if (removed.length === 0) throw new Problem('not-found', 'The build has no such share.')
    await recordAudit(tx, ctx, { action: 'build.unshared', target: { app: params.appId, build: build.id } })
  })
}
