import { jobLogs, jobs, type Transaction } from '@capstan/migrations'
import { and, eq, sql } from 'drizzle-orm'
import { toStorable } from './storable-text.js'

export type AppendLogLines = {
  orgId: string
  jobId: string
  attempt: number
  /** Counts from 1 for a worker's batches; the platform's own notes take the numbers of `platformBatch`. */
  batch: number
  lines: readonly { at: string; phase: string; text: string }[]
}

/** Batch numbers of the lines that the platform itself writes: one of each kind an attempt. */
export const platformBatch = { end: 0, waiting: -1 } as const

/**
 * Stores a batch once, numbering its lines after those that are there; the caller holds the job's row. Returns the
 * number of the last line, or null when the batch was there already.
 */
export async function appendLogLines(tx: Transaction, input: AppendLogLines): Promise<number | null> {
  const { orgId, jobId, attempt, batch, lines } = input
  const [there] = await tx
    .select({ batch: jobLogs.batch })
    .from(jobLogs)
    .where(and(eq(jobLogs.jobId, jobId), eq(jobLogs.attempt, attempt), eq(jobLogs.batch, batch)))
  if (there) return null
  const [row] = await tx
    .update(jobs)
    .set({ nextLogNumber: sql`${jobs.nextLogNumber} + ${lines.length}` })
    .where(eq(jobs.id, jobId))
    .returning({ next: jobs.nextLogNumber })
  if (!row) throw new Error('The job of the log lines is gone.')
  const firstNumber = row.next - lines.length
  await tx.insert(jobLogs).values({
    orgId,
    jobId,
    attempt,
    batch,
    firstNumber,
    lastNumber: row.next - 1,
    lines: lines.map((line, index) => ({ ...line, text: toStorable(line.text), number: firstNumber + index })),
  })
  return row.next - 1
}
