import { jobLogObjects, jobLogs, type LogLine, type Transaction, withOrg } from '@capstan/migrations'
import { and, asc, desc, eq, gt, lt } from 'drizzle-orm'
import type { Context } from '../context.js'
import { readLogChunk } from './log-chunks.js'

type Needed = Pick<Context, 'db' | 'orgId' | 'objects'>

/** Of at most 64 KiB each: what is held at once, however long the log is. */
const BATCHES_AT_ONCE = 50

/**
 * Lines of a job after number `after` in order, page by page: from the database, or from the object store once the log lies
 * there alone. The rows are asked first: they go in one step and after the object was made, so either is whole.
 */
export async function* readLog(ctx: Needed, jobId: string, after = 0): AsyncGenerator<LogLine[]> {
  let last = after
  for (;;) {
    const { lines, object } = await withOrg(ctx.db, ctx.orgId, async (tx) => {
      const found = await readRows(tx, jobId, last)
      return { lines: found, object: found.length === 0 ? await findLogObject(tx, jobId) : undefined }
    })
    if (lines.length > 0) {
      yield lines
      last = lines.at(-1)?.number ?? last
      continue
    }
    for (const chunk of object?.chunks ?? []) {
      if (chunk.last <= last) continue
      const read = await readLogChunk(ctx.objects, object?.objectKey ?? '', chunk)
      yield read.filter((line) => line.number > last)
    }
    return
  }
}

/** The same from the end: later pages first, each page in order. */
export async function* readLogBackwards(ctx: Needed, jobId: string): AsyncGenerator<LogLine[]> {
  let before = Number.MAX_SAFE_INTEGER
  for (;;) {
    const { batches, object } = await withOrg(ctx.db, ctx.orgId, async (tx) => {
      const found = await tx
        .select({ lines: jobLogs.lines })
        .from(jobLogs)
        .where(and(eq(jobLogs.jobId, jobId), lt(jobLogs.lastNumber, Math.min(before, 2_147_483_647))))
        .orderBy(desc(jobLogs.lastNumber))
        .limit(BATCHES_AT_ONCE)
      return { batches: found, object: found.length === 0 ? await findLogObject(tx, jobId) : undefined }
    })
    const lines = batches.toReversed().flatMap((batch) => batch.lines)
    if (lines.length > 0) {
      yield lines
      before = lines[0]?.number ?? 0
      continue
    }
    for (const chunk of object?.chunks.toReversed() ?? []) {
      if (chunk.first >= before) continue
      const read = await readLogChunk(ctx.objects, object?.objectKey ?? '', chunk)
      yield read.filter((line) => line.number < before)
    }
    return
  }
}

/** Lines of the database alone, in the transaction that looked at the job. */
export async function readRows(tx: Transaction, jobId: string, after: number): Promise<LogLine[]> {
  const batches = await tx
    .select({ lines: jobLogs.lines })
    .from(jobLogs)
    .where(and(eq(jobLogs.jobId, jobId), gt(jobLogs.lastNumber, after)))
    .orderBy(asc(jobLogs.firstNumber))
    .limit(BATCHES_AT_ONCE)
  return batches.flatMap(({ lines }) => lines).filter((line) => line.number > after)
}

async function findLogObject(tx: Transaction, jobId: string) {
  const { objectKey, chunks } = jobLogObjects
  const [object] = await tx.select({ objectKey, chunks }).from(jobLogObjects).where(eq(jobLogObjects.jobId, jobId))
  return object
}
