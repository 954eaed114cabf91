import { apps, withOrg } from '@capstan/migrations'
import { and, desc, eq, ilike, inArray } from 'drizzle-orm'
import { type Context, readableApps } from '../context.js'

export type ListApps = { name?: string | undefined; query?: string | undefined; limit: number; offset: number }

/** Newest first. `name` matches exactly, `query` a part of the name. */
export async function listApps(ctx: Context, input: ListApps): Promise<(typeof apps.$inferSelect)[]> {
  const limit = readableApps(ctx, 'apps:read')
  const pattern = input.query === undefined ? undefined : `%${input.query.replaceAll(/[\\%_]/g, String.raw`\$&`)}%`
  return withOrg(ctx.db, ctx.orgId, (tx) =>
    tx
      .select()
      .from(apps)
      .where(
        and(
          limit ? inArray(apps.id, [...limit]) : undefined,
          input.name === undefined ? undefined : eq(apps.name, input.name),
          pattern === undefined ? undefined : ilike(apps.name, pattern),
        ),
      )
      .orderBy(desc(apps.id))
      .limit(input.limit)
      .offset(input.offset),
  )
}
