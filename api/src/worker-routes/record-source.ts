import { builds, withOrg } from '@capstan/migrations'
import type { SourceReport } from '@capstan/migrations/messages'
import { eq, sql } from 'drizzle-orm'
import type { Lease } from '../auth/worker-access.js'
import type { Context } from '../context.js'
import { toStorable } from '../jobs/storable-text.js'
import { holdLease } from './hold-lease.js'

/** What a build fetched itself: the commit, or the hash of the archive. The last attempt's word stays. */
export async function recordSource(ctx: Context, lease: Lease, report: SourceReport): Promise<void> {
  const found = {
    ...(report.commitSha && { commitSha: report.commitSha }),
    ...(report.commitMessage && { commitMessage: toStorable(report.commitMessage) }),
    ...(report.sha256 && { sha256: report.sha256 }),
  }
  await withOrg(ctx.db, ctx.orgId, async (tx) => {
    await holdLease(tx, ctx, lease)
    await tx
      .update(builds)
      .set({ git: sql`${builds.git} || ${JSON.stringify(found)}::jsonb`, updatedAt: sql`now()` })
      .where(eq(builds.id, lease.buildId))
  })
}
