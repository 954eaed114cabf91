import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { jobLogObjects, jobLogs, jobs, type LogChunk, newId, withOrg } from '@capstan/migrations'
import { and, asc, eq, isNotNull, isNull, lt, sql } from 'drizzle-orm'
import { appObjectPrefix } from '../apps/delete-app.js'
import { deleteDiscarded } from '../jobs/delete-discarded.js'
import { packLog } from '../jobs/log-chunks.js'
import { readLog } from '../jobs/read-log.js'
import { headIntact } from '../objects/head-intact.js'
import { measureObject } from '../objects/measure-object.js'
import { noteDiscarded } from '../objects/note-discarded.js'
import type { ControlDeps } from './control-deps.js'

/** One control process moves logs at a time; the others wait for their next pass. */
const LOG_LOCK = 7_201_952
const JOBS_AT_ONCE = 50
const MINUTE_MS = 60_000
/** Whoever follows a build reads its end from the database. */
const SETTLED_MS = MINUTE_MS
/** Until then the rows are there as well. */
const ROWS_KEPT_MS = 60 * MINUTE_MS

type Needed = Pick<ControlDeps, 'db' | 'objects' | 'log' | 'now'>
type Ended = Pick<typeof jobs.$inferSelect, 'id' | 'orgId' | 'appId' | 'nextLogNumber'>

/**
 * Writes the log of each job that has ended as one object, reads it back and compares it; the rows go an hour later, after
 * one more look at the object. May be interrupted at any point: a log without its note in the database is written anew.
 */
export async function storeLogs(deps: Needed): Promise<{ stored: number; dropped: number }> {
  return deps.db.transaction(async (tx) => {
    const [lock] = await tx.execute<{ mine: boolean }>(sql`select pg_try_advisory_xact_lock(${LOG_LOCK}) as mine`)
    if (!lock?.mine) return { stored: 0, dropped: 0 }
    return { stored: await storeEnded(deps), dropped: await dropRows(deps) }
  })
}

async function storeEnded(deps: Needed): Promise<number> {
  const { id, orgId, appId, nextLogNumber, finishedAt, logStoredAt } = jobs
  const ended = await deps.db
    .select({ id, orgId, appId, nextLogNumber })
    .from(jobs)
    .where(and(isNotNull(finishedAt), isNull(logStoredAt), lt(finishedAt, new Date(deps.now().getTime() - SETTLED_MS))))
    .orderBy(asc(finishedAt))
    .limit(JOBS_AT_ONCE)
  let stored = 0
  for (const job of ended) {
    try {
      if (await storeLog(deps, job)) stored += 1
    } catch (error) {
      // One that cannot be written must not keep the others waiting.
      deps.log.error({ err: error, jobId: job.id }, 'the log of a job could not be stored; it stays in the database')
    }
  }
  return stored
}

async function storeLog(deps: Needed, job: Ended): Promise<boolean> {
  const folder = `${appObjectPrefix(job.orgId, job.appId)}logs/${job.id}/`
  // What an interrupted pass left: nothing refers to it, for this job has no note yet.
  await deps.objects.deleteBelow(folder)
  if (job.nextLogNumber === 1) return markStored(deps, job)
  const chunks: LogChunk[] = []
  const hash = createHash('sha256')
  async function* packed(): AsyncGenerator<Buffer> {
    for await (const part of packLog(readLog({ ...deps, orgId: job.orgId }, job.id), (chunk) => chunks.push(chunk))) {
      hash.update(part)
      yield part
    }
  }
  const objectKey = `${folder}${newId()}`
  await deps.objects.put(objectKey, Readable.from(packed()), { contentType: 'application/gzip' })
  const written = { sha256: hash.digest('hex'), sizeBytes: chunks.reduce((sum, { bytes }) => sum + bytes, 0) }
  const found = await measureObject(deps.objects, objectKey)
  const isWhole = chunks[0]?.first === 1 && chunks.at(-1)?.last === job.nextLogNumber - 1
  if (found?.sha256 !== written.sha256 || found.sizeBytes !== written.sizeBytes || !isWhole) {
    await deleteDiscarded(deps.objects, deps.log, [objectKey])
    throw new Error('The stored log is not what was written.')
  }
  const note = { jobId: job.id, orgId: job.orgId, objectKey, ...written, lastNumber: job.nextLogNumber - 1, chunks }
  return markStored(deps, job, note)
}

async function markStored(deps: Needed, job: Ended, note?: typeof jobLogObjects.$inferInsert): Promise<boolean> {
  return withOrg(deps.db, job.orgId, async (tx) => {
    if (note) await tx.insert(jobLogObjects).values(note)
    const marked = await tx
      .update(jobs)
      .set({ logStoredAt: deps.now() })
      .where(and(eq(jobs.id, job.id), isNull(jobs.logStoredAt)))
      .returning({ id: jobs.id })
    return note !== undefined && marked.length > 0
  })
}

async function dropRows(deps: Needed): Promise<number> {
  const due = await deps.db
    .select()
    .from(jobLogObjects)
    .where(
      and(
        isNull(jobLogObjects.rowsDeletedAt),
        lt(jobLogObjects.createdAt, new Date(deps.now().getTime() - ROWS_KEPT_MS)),
      ),
    )
    .orderBy(asc(jobLogObjects.createdAt))
    .limit(JOBS_AT_ONCE)
  let dropped = 0
  for (const object of due) {
    try {
      if (await dropRowsOf(deps, object)) dropped += 1
    } catch (error) {
      // Nor must one whose object cannot be looked at.
      deps.log.error({ err: error, jobId: object.jobId }, 'a stored log could not be looked at; its rows stay')
    }
  }
  return dropped
}

/** Rows go in one statement, so that a reader sees all of them or none. An object that is not there is written again. */
async function dropRowsOf(deps: Needed, object: typeof jobLogObjects.$inferSelect): Promise<boolean> {
  const found = await headIntact(deps.objects, object.objectKey)
  const isThere = found?.sha256 === object.sha256 && found.sizeBytes === object.sizeBytes
  await withOrg(deps.db, object.orgId, async (tx) => {
    const note = eq(jobLogObjects.jobId, object.jobId)
    if (isThere) {
      await tx.update(jobLogObjects).set({ rowsDeletedAt: deps.now() }).where(note)
      await tx.delete(jobLogs).where(eq(jobLogs.jobId, object.jobId))
    } else {
      await tx.delete(jobLogObjects).where(note)
      await noteDiscarded(tx, object.orgId, [object.objectKey])
      await tx.update(jobs).set({ logStoredAt: null }).where(eq(jobs.id, object.jobId))
    }
  })
  if (isThere) return true
  deps.log.error({ jobId: object.jobId }, 'a stored log is gone from the object store; it is stored anew')
  await deleteDiscarded(deps.objects, deps.log, [object.objectKey])
  return false
}
