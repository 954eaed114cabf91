import { jobLogs, type LogLine, type Transaction } from '@capstan/migrations'
import { and, asc, eq, gt } from 'drizzle-orm'

/** Lines of a job after number `after`, in order. `maxBatches` bounds what is read at once. */
export async function readLogLines(
  tx: Transaction,
  jobId: string,
  after = 0,
  maxBatches = Number.MAX_SAFE_INTEGER,
): Promise<LogLine[]> {
  const batches = await tx
    .select({ lines: jobLogs.lines })
    .from(jobLogs)
    .where(and(eq(jobLogs.jobId, jobId), gt(jobLogs.lastNumber, after)))
    .orderBy(asc(jobLogs.firstNumber))
    .limit(maxBatches)
  return batches.flatMap(({ lines }) => lines).filter((line) => line.number > after)
}
