import { supportGrants, withOrg } from '@capstan/migrations'
import { desc } from 'drizzle-orm'
import { type Context, requireScope } from '../context.js'
import type { SupportGrantRow } from './present-grant.js'

/** What support asked for and got, newest first. */
export async function listGrants(ctx: Context, page: { limit: number; offset: number }): Promise<SupportGrantRow[]> {
  requireScope(ctx, 'support:read')
  return withOrg(ctx.db, ctx.orgId, (tx) =>
    tx
      .select()
      .from(supportGrants)
      .orderBy(desc(supportGrants.createdAt), desc(supportGrants.id))
      .limit(page.limit)
      .offset(page.offset),
  )
}
