import { environments, withOrg } from '@capstan/migrations'
import { and, desc, eq } from 'drizzle-orm'
import { type Context, requireScope } from '../context.js'
import { loadEnvironments } from './load-environments.js'
import type { LoadedEnvironment } from './present-environment.js'

export type ListEnvironments = {
  appId: string
  name?: string | undefined
  relations: ReadonlySet<string>
  limit: number
  offset: number
}

/** Newest first; `name` matches the whole name. */
export async function listEnvironments(ctx: Context, input: ListEnvironments): Promise<LoadedEnvironment[]> {
  requireScope(ctx, 'environments:read')
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const rows = await tx
      .select()
      .from(environments)
      .where(
        and(
          eq(environments.appId, input.appId),
          input.name ? eq(environments.nameLower, input.name.trim().toLowerCase()) : undefined,
        ),
      )
      .orderBy(desc(environments.id))
      .limit(input.limit)
      .offset(input.offset)
    return loadEnvironments(tx, rows, input.relations)
  })
}
