import {
  artifacts,
  jobPhases,
  jobs,
  leases,
  outbox,
  sourcesOf,
  type JobStatus,
  type Transaction,
} from '@capstan/migrations'
import { BuildMessage } from '@capstan/migrations/messages'
import { and, eq, inArray, ne, or, sql } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { noteDiscarded } from '../objects/note-discarded.js'
import type { Actor } from '../context.js'
import { settleCaches } from '../dependency-caches/settle-caches.js'
import { appendLogLines, platformBatch } from './append-log-lines.js'

type Job = typeof jobs.$inferSelect
type EndStatus = 'succeeded' | 'failed' | 'canceled' | 'timed_out'

export type AttemptEnd = {
  status: EndStatus
  code: string | null
  message: string | null
  /** The fault was the platform's: another attempt is made while there is one left. */
  retryable: boolean
}

export type EndedAttempt = {
  job: Job
  /** Objects that nothing refers to any more: deleted after the transaction. */
  discardedKeys: string[]
}

type Auditor = { orgId: string; actor: Actor; requestId: string }

const actions = {
  queued: 'build.retried',
  succeeded: 'build.succeeded',
  failed: 'build.failed',
  canceled: 'build.canceled',
  timed_out: 'build.timed_out',
} as const

/** Ends the running attempt of a locked job: for good, or with a new message that rings for the next attempt. */
export async function endAttempt(tx: Transaction, by: Auditor, job: Job, end: AttemptEnd): Promise<EndedAttempt> {
  const to = decide(job, end)
  if (to !== 'succeeded') await writeNote(tx, job, to, end)
  await closeAttempt(tx, job)
  const caches = await settleCaches(tx, job, to === 'succeeded')
  const discardedKeys = [...(await discardArtifacts(tx, job, to)), ...caches.discardedKeys]
  const ended = await moveJob(tx, job, to, end)
  if (to === 'queued') {
    const payload: BuildMessage = BuildMessage.parse({ v: 1, orgId: job.orgId, buildId: job.buildId })
    await tx.insert(outbox).values({ orgId: job.orgId, topic: 'build.queued', payload })
  }
  await recordAudit(tx, by, {
    action: actions[to],
    target: { app: job.appId, build: job.buildId, job: job.id },
    data: {
      attempt: job.attempt,
      code: ended.statusCode,
      ...(to === 'queued' ? {} : { status: to }),
      ...(caches.ready && { cache: caches.ready }),
    },
  })
  return { job: ended, discardedKeys }
}

function decide(job: Job, end: AttemptEnd): EndStatus | 'queued' {
  if (end.status === 'succeeded') return 'succeeded'
  if (job.cancelRequestedAt) return 'canceled'
  if (!end.retryable) return end.status
  if (job.attempt < job.maxAttempts) return 'queued'
  return end.status === 'canceled' ? 'failed' : end.status
}

/** The reason as the last line of the attempt: the official CLI shows the log and nothing else. */
async function writeNote(tx: Transaction, job: Job, to: EndStatus | 'queued', end: AttemptEnd): Promise<void> {
  const reason = end.message ?? `The attempt ended as "${end.status}".`
  const next = `The build starts again: attempt ${job.attempt + 1} of ${job.maxAttempts}.`
  const text = to === 'queued' ? `${reason} ${next}` : to === 'canceled' ? 'The build was canceled.' : reason
  await appendLogLines(tx, {
    orgId: job.orgId,
    jobId: job.id,
    attempt: job.attempt,
    batch: platformBatch.end,
    lines: [{ at: new Date().toISOString(), phase: 'end', text }],
  })
}

/** From here on the lease's token is worth nothing, and no phase looks as if it still ran. */
async function closeAttempt(tx: Transaction, job: Job): Promise<void> {
  await tx
    .update(leases)
    .set({ endedAt: sql`now()` })
    .where(and(eq(leases.jobId, job.id), eq(leases.attempt, job.attempt)))
  await tx
    .update(jobPhases)
    .set({ state: 'failed', finishedAt: sql`now()` })
    .where(and(eq(jobPhases.jobId, job.id), eq(jobPhases.attempt, job.attempt), eq(jobPhases.state, 'started')))
}

/** Only a build that succeeded has artefacts, and only those that this attempt stored and the platform compared. */
async function discardArtifacts(tx: Transaction, job: Job, to: JobStatus): Promise<string[]> {
  const superfluous =
    to === 'succeeded' ? or(ne(artifacts.attempt, job.attempt), ne(artifacts.status, 'ready')) : undefined
  const rows = await tx
    .update(artifacts)
    .set({ status: 'discarded' })
    .where(and(eq(artifacts.buildId, job.buildId), ne(artifacts.status, 'discarded'), superfluous))
    .returning({ key: artifacts.objectKey })
  const keys = rows.map((row) => row.key)
  await noteDiscarded(tx, job.orgId, keys)
  return keys
}

async function moveJob(tx: Transaction, job: Job, to: EndStatus | 'queued', end: AttemptEnd): Promise<Job> {
  const again = to === 'queued'
  const canceled = to === 'canceled'
  const [moved] = await tx
    .update(jobs)
    .set({
      status: to,
      statusCode: to === 'succeeded' ? null : canceled ? 'canceled' : end.code,
      statusMessage: to === 'succeeded' ? null : canceled ? 'The build was canceled.' : end.message,
      finishedAt: again ? null : sql`now()`,
      ...(again ? { pendingAt: null, inProgressAt: null } : {}),
      updatedAt: sql`now()`,
    })
    .where(and(eq(jobs.id, job.id), eq(jobs.attempt, job.attempt), inArray(jobs.status, sourcesOf(to))))
    .returning()
  if (!moved) throw new Error(`Job ${job.id} was not locked when its attempt ended.`)
  return moved
}
