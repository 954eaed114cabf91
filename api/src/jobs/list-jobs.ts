import { jobs, type JobStatus, withOrg } from '@capstan/migrations'
import { and, desc, inArray } from 'drizzle-orm'
import { type Context, readableApps } from '../context.js'

export type ListJobs = { statuses: readonly JobStatus[]; limit: number; offset: number }

/** Newest first; every status when none is named. */
export async function listJobs(ctx: Context, input: ListJobs): Promise<(typeof jobs.$inferSelect)[]> {
  const limit = readableApps(ctx, 'builds:read')
  return withOrg(ctx.db, ctx.orgId, (tx) =>
    tx
      .select()
      .from(jobs)
      .where(
        and(
          limit ? inArray(jobs.appId, [...limit]) : undefined,
          input.statuses.length > 0 ? inArray(jobs.status, [...input.statuses]) : undefined,
        ),
      )
      .orderBy(desc(jobs.id))
      .limit(input.limit)
      .offset(input.offset),
  )
}
