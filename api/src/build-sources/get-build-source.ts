import { buildSources, withOrg } from '@capstan/migrations'
import { and, eq } from 'drizzle-orm'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'

export type SourceParams = { appId: string; buildSourceId: string }

export async function getBuildSource(
  ctx: Context,
  { appId, buildSourceId }: SourceParams,
): Promise<typeof buildSources.$inferSelect> {
  requireScope(ctx, 'builds:read')
  const [source] = await withOrg(ctx.db, ctx.orgId, (tx) =>
    tx
      .select()
      .from(buildSources)
      .where(and(eq(buildSources.id, buildSourceId), eq(buildSources.appId, appId))),
  )
  if (!source) throw new Problem('not-found')
  return source
}
