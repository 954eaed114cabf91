import { builds, buildSources, credentials, type Transaction } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { Problem } from '../problems.js'

export type BuildParts = {
  build: typeof builds.$inferSelect
  source: { objectKey: string; sha256: string; sizeBytes: number }
  credential: { id: string; version: number; name: string } | null
}

/** What a build needs to run, or what of it has been deleted since it was requested. */
export async function loadBuildParts(
  tx: Transaction,
  buildId: string,
): Promise<BuildParts | { missing: 'source' | 'certificate' }> {
  const [row] = await tx
    .select({ build: builds, source: buildSources, credentialName: credentials.name })
    .from(builds)
    .leftJoin(buildSources, eq(buildSources.id, builds.buildSourceId))
    .leftJoin(credentials, eq(credentials.id, builds.credentialId))
    .where(eq(builds.id, buildId))
  if (!row) throw new Problem('not-found')
  const { build, source, credentialName } = row
  if (!source?.objectKey || !source.sha256 || source.fileSizeBytes === null) return { missing: 'source' }
  const chosen = build.credentialVersion !== null
  if (chosen && (!build.credentialId || credentialName === null)) return { missing: 'certificate' }
  return {
    build,
    source: { objectKey: source.objectKey, sha256: source.sha256, sizeBytes: source.fileSizeBytes },
    credential:
      build.credentialId && build.credentialVersion !== null && credentialName !== null
        ? { id: build.credentialId, version: build.credentialVersion, name: credentialName }
        : null,
  }
}
