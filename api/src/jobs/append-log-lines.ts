import { jobLogs, jobs, type Transaction } from '@capstan/migrations'
import { LOG_LINE_BYTES } from '@capstan/migrations/messages'
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

/** Of all attempts of a job together. What the platform itself notes is kept in any case. */
export const MAX_LOG_BYTES = 256 * 1024 ** 2

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
  const bytes = lines.reduce((sum, { text }) => sum + Buffer.byteLength(text) + LOG_LINE_BYTES, 0)
  const [row] = await tx
    .update(jobs)
    .set({ logBytes: sql`${jobs.logBytes} + ${bytes}` })
    .where(eq(jobs.id, jobId))
    .returning({ next: jobs.nextLogNumber, bytes: jobs.logBytes, dropped: jobs.logLinesDropped })
  if (!row) throw new Error('The job of the log lines is gone.')
  const isOver = batch > 0 && row.bytes > MAX_LOG_BYTES
  // The first batch beyond the limit is answered by one line that says so; those after it are counted alone.
  const kept = isOver ? (row.dropped === 0 ? lines.slice(0, 1).map(saidOnce) : []) : lines
  await tx
    .update(jobs)
    .set({
      nextLogNumber: sql`${jobs.nextLogNumber} + ${kept.length}`,
      ...(isOver ? { logLinesDropped: sql`${jobs.logLinesDropped} + ${lines.length}` } : {}),
    })
    .where(eq(jobs.id, jobId))
  if (kept.length === 0) return null
  await tx.insert(jobLogs).values({
    orgId,
    jobId,
    attempt,
    batch,
    firstNumber: row.next,
    lastNumber: row.next + kept.length - 1,
    lines: kept.map((line, index) => ({ ...line, text: toStorable(line.text), number: row.next + index })),
  })
  return row.next + kept.length - 1
}

const saidOnce = (line: AppendLogLines['lines'][number]) => ({
  ...line,
  text: `The log has ${MAX_LOG_BYTES / 1024 ** 2} MiB; what the build prints from here on is not kept.`,
})
