import { jobs, sourcesOf, type Transaction } from '@capstan/migrations'
import { and, eq, inArray, sql } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import type { Context } from '../context.js'

const reasons = {
  source: [
    'build-source-deleted',
    'The source of this build has been deleted. Upload it again and request a new build.',
  ],
  certificate: [
    'certificate-deleted',
    'The certificate of this build has been deleted. Request a build with another one.',
  ],
} as const

/** Ends a waiting build that cannot run any more because something it needs was deleted. */
export async function rejectBuild(
  tx: Transaction,
  ctx: Context,
  buildId: string,
  missing: keyof typeof reasons,
): Promise<{ refused: string }> {
  const [statusCode, statusMessage] = reasons[missing]
  const [job] = await tx
    .update(jobs)
    .set({ status: 'rejected', statusCode, statusMessage, finishedAt: sql`now()`, updatedAt: sql`now()` })
    .where(and(eq(jobs.buildId, buildId), inArray(jobs.status, sourcesOf('rejected'))))
    .returning()
  if (job) {
    await recordAudit(tx, ctx, {
      action: 'build.rejected',
      target: { app: job.appId, build: buildId, job: job.id },
      data: { code: statusCode },
    })
  }
  return { refused: statusMessage }
}
