import { jobs, type Transaction } from '@capstan/migrations'
import { and, eq } from 'drizzle-orm'

export type Attempt = { jobId: string; attempt: number }

/**
 * The job while this attempt of it runs, its row locked until the transaction ends; else null. Every write of an
 * attempt and the end of it begin here, so a late worker and the sweeper never both win.
 */
export async function lockAttempt(
  tx: Transaction,
  { jobId, attempt }: Attempt,
): Promise<typeof jobs.$inferSelect | null> {
  const [job] = await tx
    .select()
    .from(jobs)
    .where(and(eq(jobs.id, jobId), eq(jobs.attempt, attempt), eq(jobs.status, 'in_progress')))
    .for('update')
  return job ?? null
}
