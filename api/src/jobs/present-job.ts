import { cachedManagers, jobStatuses, type builds, type JobCache, type jobs, type LogLine } from '@capstan/migrations'
import { z } from '@hono/zod-openapi'
import { Id, Timestamp } from '../define-route.js'

export const JobLog = z
  .object({
    jobId: Id,
    number: z.number().int().min(1),
    payload: z.string(),
    phase: z.string(),
    timestamp: Timestamp,
  })
  .openapi('JobLog')

const Seconds = z.number().nullable()

export const Job = z
  .object({
    id: Id,
    organizationId: Id,
    appId: Id,
    appBuildId: Id.nullable(),
    appDeploymentId: Id.nullable(),
    status: z.enum(jobStatuses),
    statusCode: z.string().nullable(),
    statusMessage: z.string().nullable(),
    attempt: z.number().int(),
    stack: z.string().nullable(),
    createdBy: Id.nullable(),
    createdAt: Timestamp,
    queuedAt: Timestamp,
    pendingAt: Timestamp.nullable(),
    inProgressAt: Timestamp.nullable(),
    finishedAt: Timestamp.nullable(),
    canceledAt: Timestamp.nullable(),
    queueTimeInSeconds: Seconds,
    pendingTimeInSeconds: Seconds,
    inProgressTimeInSeconds: Seconds,
    totalTimeInSeconds: Seconds,
    cache: z
      .object({
        outcome: z.enum(['hit', 'miss', 'refused', 'off']),
        packageManager: z.enum(cachedManagers),
        key: z.string(),
        sizeInBytes: z.number().int().nullable(),
        restoreTimeInSeconds: Seconds,
        installTimeInSeconds: Seconds,
        saveTimeInSeconds: Seconds,
      })
      .nullable(),
    jobLogs: z.array(JobLog).optional(),
  })
  .openapi('Job')

export function presentJob(row: typeof jobs.$inferSelect): z.infer<typeof Job> {
  return {
    id: row.id,
    organizationId: row.orgId,
    appId: row.appId,
    appBuildId: row.buildId,
    appDeploymentId: null,
    status: row.status,
    statusCode: row.statusCode,
    statusMessage: row.statusMessage,
    attempt: row.attempt,
    stack: null,
    createdBy: row.createdBy,
    createdAt: row.createdAt.toISOString(),
    queuedAt: row.queuedAt.toISOString(),
    pendingAt: row.pendingAt?.toISOString() ?? null,
    inProgressAt: row.inProgressAt?.toISOString() ?? null,
    finishedAt: row.finishedAt?.toISOString() ?? null,
    canceledAt: row.status === 'canceled' ? (row.finishedAt?.toISOString() ?? null) : null,
    queueTimeInSeconds: secondsBetween(row.queuedAt, row.pendingAt),
    pendingTimeInSeconds: secondsBetween(row.pendingAt, row.inProgressAt),
    inProgressTimeInSeconds: secondsBetween(row.inProgressAt, row.finishedAt),
    totalTimeInSeconds: secondsBetween(row.queuedAt, row.finishedAt),
    cache: row.cache && presentCache(row.cache),
  }
}

/**
 * A build that came as an upload has no job, but `apps:builds:logs` of the official CLI waits for one that is finished:
 * it is shown one that succeeded when the build was made.
 */
export function presentUploadJob(build: typeof builds.$inferSelect): z.infer<typeof Job> {
  const at = build.createdAt
  return {
    ...presentJob({
      id: build.id,
      orgId: build.orgId,
      appId: build.appId,
      buildId: build.id,
      status: 'succeeded',
      statusCode: null,
      statusMessage: null,
      attempt: 0,
      maxAttempts: 0,
      nextLogNumber: 1,
      logBytes: 0,
      logLinesDropped: 0,
      cache: null,
      logStoredAt: null,
      cancelRequestedAt: null,
      createdBy: build.createdBy,
      queuedAt: at,
      dueAt: at,
      pool: 'standard',
      pendingAt: at,
      inProgressAt: at,
      finishedAt: at,
      createdAt: at,
      updatedAt: at,
    }),
    jobLogs: [],
  }
}

export async function* presentLog(jobId: string, pages: AsyncIterable<readonly LogLine[]>) {
  for await (const lines of pages) yield lines.map((line) => presentLogLine(jobId, line))
}

export function presentLogLine(jobId: string, line: LogLine): z.infer<typeof JobLog> {
  return { jobId, number: line.number, payload: line.text, phase: line.phase, timestamp: line.at }
}

function presentCache(cache: JobCache): NonNullable<z.infer<typeof Job>['cache']> {
  const seconds = (milliseconds?: number) => (milliseconds === undefined ? null : milliseconds / 1000)
  return {
    outcome: cache.outcome,
    packageManager: cache.packageManager,
    key: cache.key,
    sizeInBytes: cache.sizeBytes ?? null,
    restoreTimeInSeconds: seconds(cache.restoreMs),
    installTimeInSeconds: seconds(cache.installMs),
    saveTimeInSeconds: seconds(cache.saveMs),
  }
}

function secondsBetween(from: Date | null, to: Date | null): number | null {
  return from && to ? Math.max(0, (to.getTime() - from.getTime()) / 1000) : null
}
