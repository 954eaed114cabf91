import { auditCheckpoints, withOrg } from '@capstan/migrations'
import { desc, eq } from 'drizzle-orm'
import { type Context, requireScope } from '../../context.js'

/** Newest first; each as the signed note that is published. */
export async function listCheckpoints(ctx: Context, { limit, offset }: { limit: number; offset: number }) {
  requireScope(ctx, 'audit:read')
  return withOrg(ctx.db, ctx.orgId, (tx) =>
    tx
      .select({
        size: auditCheckpoints.size,
        note: auditCheckpoints.note,
        createdAt: auditCheckpoints.createdAt,
        publishedAt: auditCheckpoints.publishedAt,
      })
      .from(auditCheckpoints)
      .where(eq(auditCheckpoints.orgId, ctx.orgId))
      .orderBy(desc(auditCheckpoints.size))
      .limit(limit)
      .offset(offset),
  )
}
