import { appActivity, withOrg } from '@capstan/migrations'
import { and, asc, eq, gte, lt } from 'drizzle-orm'
import { type Context, requireScope } from '../context.js'

const DAY_MS = 24 * 60 * 60_000
/** Six weeks by the hour. */
const MAX_BUCKETS = 1_008

export type ListActivity = { appId: string; from?: Date | undefined; to?: Date | undefined }

/** What the devices of an app ran, by the hour, oldest first; without a start the last seven days. */
export async function listActivity(ctx: Context, input: ListActivity): Promise<(typeof appActivity.$inferSelect)[]> {
  requireScope(ctx, 'devices:read')
  const to = input.to ?? ctx.now()
  const from = input.from ?? new Date(to.getTime() - 7 * DAY_MS)
  return withOrg(ctx.db, ctx.orgId, (tx) =>
    tx
      .select()
      .from(appActivity)
      .where(and(eq(appActivity.appId, input.appId), gte(appActivity.bucket, from), lt(appActivity.bucket, to)))
      .orderBy(asc(appActivity.bucket))
      .limit(MAX_BUCKETS),
  )
}
