import { roleGrants, withOrg } from '@capstan/migrations'
import { and, asc, eq } from 'drizzle-orm'
import { type Context, requireScope } from '../context.js'

export type ListGrants = {
  userId?: string | undefined
  teamId?: string | undefined
  appId?: string | undefined
  limit: number
  offset: number
}

/** Oldest first. What members may do in the whole organization is their role, and not among these. */
export async function listGrants(ctx: Context, input: ListGrants): Promise<(typeof roleGrants.$inferSelect)[]> {
  requireScope(ctx, 'access:read')
  return withOrg(ctx.db, ctx.orgId, (tx) =>
    tx
      .select()
      .from(roleGrants)
      .where(
        and(
          input.userId ? eq(roleGrants.userId, input.userId) : undefined,
          input.teamId ? eq(roleGrants.teamId, input.teamId) : undefined,
          input.appId ? eq(roleGrants.appId, input.appId) : undefined,
        ),
      )
      .orderBy(asc(roleGrants.id))
      .limit(input.limit)
      .offset(input.offset),
  )
}
