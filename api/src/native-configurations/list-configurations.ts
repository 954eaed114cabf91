import { nativeConfigurations, withOrg } from '@capstan/migrations'
import { and, desc, eq, ilike } from 'drizzle-orm'
import { containing } from '../channels/list-channels.js'
import { type Context, requireScope } from '../context.js'
import type { Configuration } from './find-configuration.js'

export type ListConfigurations = {
  appId: string
  name?: string | undefined
  query?: string | undefined
  limit: number
  offset: number
}

/** Newest first; `name` matches the whole name, `query` a part of it. */
export async function listConfigurations(ctx: Context, input: ListConfigurations): Promise<Configuration[]> {
  requireScope(ctx, 'builds:read')
  const { appId, nameLower } = nativeConfigurations
  return withOrg(ctx.db, ctx.orgId, (tx) =>
    tx
      .select()
      .from(nativeConfigurations)
      .where(
        and(
          eq(appId, input.appId),
          input.name ? eq(nameLower, input.name.trim().toLowerCase()) : undefined,
          input.query ? ilike(nativeConfigurations.name, containing(input.query)) : undefined,
        ),
      )
      .orderBy(desc(nativeConfigurations.id))
      .limit(input.limit)
      .offset(input.offset),
  )
}
