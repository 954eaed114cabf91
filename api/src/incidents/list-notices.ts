import { incidentNotices, withOrg } from '@capstan/migrations'
import { desc } from 'drizzle-orm'
import { type Context, requireScope } from '../context.js'

/** What an organization was told of incidents, newest first. */
export async function listIncidentNotices(ctx: Context, page: { limit: number; offset: number }) {
  requireScope(ctx, 'organizations:read')
  return withOrg(ctx.db, ctx.orgId, (tx) =>
    tx
      .select()
      .from(incidentNotices)
      .orderBy(desc(incidentNotices.createdAt), desc(incidentNotices.id))
      .limit(page.limit)
      .offset(page.offset),
  )
}
