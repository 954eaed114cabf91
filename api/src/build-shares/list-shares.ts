import { buildShares, withOrg } from '@capstan/migrations'
import { and, desc, eq, gt } from 'drizzle-orm'
import { type BuildParams, findBuild } from '../builds/find-build.js'
import { type Context, requireScope } from '../context.js'
import type { Share } from './create-share.js'

/** Those that still work, newest first. They open the build's files, so whoever may only read does not see them. */
export async function listShares(ctx: Context, params: BuildParams): Promise<Share[]> {
  requireScope(ctx, 'builds:write')
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const build = await findBuild(tx, params)
    return tx
      .select()
      .from(buildShares)
      .where(and(eq(buildShares.buildId, build.id), gt(buildShares.expiresAt, ctx.now())))
      .orderBy(desc(buildShares.createdAt))
      .limit(100)
  })
}
