import { artifacts, type builds, bundles, jobs, type Transaction } from '@capstan/migrations'
import { and, asc, inArray, ne } from 'drizzle-orm'
import type { LoadedBuild } from './present-build.js'

/** Adds to build rows what belongs to them: always the job, and what `relations` names. */
export async function loadBuilds(
  tx: Transaction,
  rows: (typeof builds.$inferSelect)[],
  relations: ReadonlySet<string>,
): Promise<LoadedBuild[]> {
  const ids = rows.map((row) => row.id)
  if (ids.length === 0) return []
  const jobRows = await tx.select().from(jobs).where(inArray(jobs.buildId, ids))
  const files = await tx
    .select()
    .from(artifacts)
    .where(and(inArray(artifacts.buildId, ids), ne(artifacts.status, 'discarded')))
    .orderBy(asc(artifacts.id))
  const uploaded = await tx
    .select({ id: bundles.id, buildId: bundles.buildId })
    .from(bundles)
    .where(inArray(bundles.buildId, ids))
  return rows.map((build) => {
    const job = jobRows.find((row) => row.buildId === build.id) ?? null
    const own = files.filter((file) => file.buildId === build.id)
    const ready = own.find((file) => file.status === 'ready') ?? uploaded.find((row) => row.buildId === build.id)
    return {
      build,
      job,
      artifactId: ready?.id ?? null,
      ...(relations.has('appBuildArtifacts') ? { files: own } : {}),
    }
  })
}
