import { builds, buildSources, jobs, type LogLine, type Transaction } from '@capstan/migrations'
import { desc, eq } from 'drizzle-orm'
import { whileAdmitted } from '../auth/while-admitted.js'
import type { Deps } from '../context.js'
import { readLog } from '../jobs/read-log.js'
import { Problem } from '../problems.js'
import { readUnderGrant, type SupportCall } from './read-under-grant.js'

const NEWEST = 50

/** The newest builds and how they ended; no variable, no log, no source. */
export async function readBuilds(deps: Deps, call: SupportCall) {
  const { found } = await readUnderGrant(deps, call, 'builds', async (tx) => ({
    target: {},
    found: await tx
      .select({
        id: builds.id,
        appId: builds.appId,
        number: builds.number,
        platform: builds.platform,
        createdAt: builds.createdAt,
        jobId: jobs.id,
        status: jobs.status,
        statusCode: jobs.statusCode,
      })
      .from(builds)
      .innerJoin(jobs, eq(jobs.buildId, builds.id))
      .orderBy(desc(builds.createdAt))
      .limit(NEWEST),
  }))
  return found
}

/** The log of one build, masked as its own people see it, page by page, for as long as the grant opens it. */
export async function openLog(deps: Deps, call: SupportCall, buildId: string): Promise<AsyncGenerator<LogLine[]>> {
  const { found, ctx } = await readUnderGrant(deps, call, 'logs', async (tx) => {
    const [job] = await tx.select({ id: jobs.id }).from(jobs).where(eq(jobs.buildId, buildId))
    if (!job) throw new Problem('not-found')
    return { found: job.id, target: { build: buildId, job: job.id } }
  })
  return whileAdmitted(ctx, 'builds:read', readLog(ctx, found))
}

/** Where the source of one build lies. */
export function readSource(deps: Deps, call: SupportCall, buildId: string) {
  return readUnderGrant(deps, call, 'source', async (tx) => {
    const source = await sourceOf(tx, buildId)
    if (!source?.objectKey) throw new Problem('not-found', 'There is no stored source of this build.')
    return { found: source.objectKey, target: { build: buildId, source: source.id } }
  })
}

async function sourceOf(tx: Transaction, buildId: string) {
  const [source] = await tx
    .select({ id: buildSources.id, objectKey: buildSources.objectKey })
    .from(builds)
    .innerJoin(buildSources, eq(buildSources.id, builds.buildSourceId))
    .where(eq(builds.id, buildId))
  return source
}
