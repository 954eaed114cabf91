import { builds, withOrg } from '@capstan/migrations'
import { and, desc, eq } from 'drizzle-orm'
import { type Context, requireScope } from '../context.js'
import { loadBuilds } from './load-builds.js'
import type { LoadedBuild } from './present-build.js'

export type ListBuilds = {
  appId: string
  number?: number | undefined
  platform?: 'android' | 'ios' | 'web' | undefined
  limit: number
  offset: number
  relations: ReadonlySet<string>
}

/** Newest first. */
export async function listBuilds(ctx: Context, input: ListBuilds): Promise<LoadedBuild[]> {
  requireScope(ctx, 'builds:read')
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const rows = await tx
      .select()
      .from(builds)
      .where(
        and(
          eq(builds.appId, input.appId),
          input.number === undefined ? undefined : eq(builds.number, input.number),
          input.platform === undefined ? undefined : eq(builds.platform, input.platform),
        ),
      )
      .orderBy(desc(builds.number))
      .limit(input.limit)
      .offset(input.offset)
    return loadBuilds(tx, rows, input.relations)
  })
}
