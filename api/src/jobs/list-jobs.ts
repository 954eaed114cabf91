import { jobs, type JobStatus, withOrg } from '@capstan/migrations'
import { desc, inArray } from 'drizzle-orm'
import { type Context, requireScope } from '../context.js'

export type ListJobs = { statuses: readonly JobStatus[]; limit: number; offset: number }

/** Newest first; every status when none is named. */
export async function listJobs(ctx: Context, input: ListJobs): Promise<(typeof jobs.$inferSelect)[]> {
  requireScope(ctx, 'builds:read')
  return withOrg(ctx.db, ctx.orgId, (tx) =>
    tx
      .select()
      .from(jobs)
      .where(input.statuses.length > 0 ? inArray(jobs.status, [...input.statuses]) : undefined)
      .orderBy(desc(jobs.id))
      .limit(input.limit)
      .offset(input.offset),
  )
}
