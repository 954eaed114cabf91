import { artifacts, withOrg } from '@capstan/migrations'
import { and, asc, eq, ne } from 'drizzle-orm'
import { findBuild, type BuildParams } from '../builds/find-build.js'
import { type Context, requireScope } from '../context.js'

type Artifact = typeof artifacts.$inferSelect

export async function listArtifacts(ctx: Context, params: BuildParams): Promise<Artifact[]> {
  requireScope(ctx, 'builds:read')
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const build = await findBuild(tx, params)
    return tx
      .select()
      .from(artifacts)
      .where(and(eq(artifacts.buildId, build.id), ne(artifacts.status, 'discarded')))
      .orderBy(asc(artifacts.id))
  })
}
