import { type jobs, withOrg } from '@capstan/migrations'
import { type Context, requireScope } from '../context.js'
import { findJob } from './find-job.js'

export async function getJob(ctx: Context, jobId: string): Promise<typeof jobs.$inferSelect> {
  requireScope(ctx, 'builds:read')
  return withOrg(ctx.db, ctx.orgId, (tx) => findJob(tx, jobId))
}
