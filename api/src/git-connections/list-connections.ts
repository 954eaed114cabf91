import { gitConnections, withOrg } from '@capstan/migrations'
import { desc } from 'drizzle-orm'
import { type Context, requireScope } from '../context.js'
import type { GitConnection } from './find-connection.js'

/** Newest first. */
export async function listConnections(
  ctx: Context,
  { limit, offset }: { limit: number; offset: number },
): Promise<GitConnection[]> {
  requireScope(ctx, 'git-connections:read')
  return withOrg(ctx.db, ctx.orgId, (tx) =>
    tx.select().from(gitConnections).orderBy(desc(gitConnections.id)).limit(limit).offset(offset),
  )
}
