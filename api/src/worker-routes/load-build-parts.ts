import {
  apps,
  builds,
  buildSources,
  credentials,
  gitConnections,
  sealedValues,
  type Transaction,
} from '@capstan/migrations'
import type { BuildSourceSpec } from '@capstan/migrations/messages'
import { and, eq, or } from 'drizzle-orm'
import { MAX_SOURCE_BYTES } from '../build-sources/create-build-source.js'
import { type CachePlace, cachePlaceOf } from '../dependency-caches/cache-place.js'
import { Problem } from '../problems.js'

/** A stored archive still without the link that it is fetched by. */
type SourcePart =
  | { kind: 'archive'; objectKey: string; sha256: string; sizeBytes: number }
  | Exclude<BuildSourceSpec, { kind: 'archive' }>

export type BuildParts = {
  build: typeof builds.$inferSelect
  egressHosts: string[]
  hasSecretVariables: boolean
  source: SourcePart
  credential: { id: string; version: number; name: string } | null
  cache: CachePlace | null
}

/** What a build needs to run, or what of it has been deleted since it was requested. */
export async function loadBuildParts(
  tx: Transaction,
  buildId: string,
): Promise<BuildParts | { missing: 'source' | 'certificate' }> {
  const [row] = await tx
    .select({
      build: builds,
      source: buildSources,
      credentialName: credentials.name,
      authKind: gitConnections.authKind,
      egressHosts: apps.egressHosts,
    })
    .from(builds)
    .innerJoin(apps, eq(apps.id, builds.appId))
    .leftJoin(buildSources, eq(buildSources.id, builds.buildSourceId))
    .leftJoin(gitConnections, eq(gitConnections.id, buildSources.gitConnectionId))
    .leftJoin(credentials, eq(credentials.id, builds.credentialId))
    .where(eq(builds.id, buildId))
  if (!row) throw new Problem('not-found')
  const { build, credentialName, egressHosts } = row
  const source = row.source && sourcePart(row.source, row.authKind)
  if (!row.source || !source) return { missing: 'source' }
  const chosen = build.credentialVersion !== null
  if (chosen && (!build.credentialId || credentialName === null)) return { missing: 'certificate' }
  const ofEnvironment = build.environmentId ? eq(sealedValues.environmentId, build.environmentId) : undefined
  const secret = and(eq(sealedValues.appId, build.appId), or(eq(sealedValues.buildId, build.id), ofEnvironment))
  return {
    build,
    egressHosts,
    source,
    cache: cachePlaceOf(build, row.source),
    hasSecretVariables: (await tx.$count(sealedValues, secret)) > 0,
    credential:
      build.credentialId && build.credentialVersion !== null && credentialName !== null
        ? { id: build.credentialId, version: build.credentialVersion, name: credentialName }
        : null,
  }
}

function sourcePart(
  source: typeof buildSources.$inferSelect,
  authKind: 'none' | 'basic' | 'ssh' | null,
): SourcePart | null {
  const { remoteUrl: url, gitRef: ref, objectKey, sha256, fileSizeBytes: sizeBytes } = source
  if (source.type === 'git' && url && ref) return { kind: 'git', url, ref, auth: authKind ?? 'none' }
  if (source.type === 'url' && url) return { kind: 'url', url, sha256, maxBytes: MAX_SOURCE_BYTES }
  return objectKey && sha256 && sizeBytes !== null ? { kind: 'archive', objectKey, sha256, sizeBytes } : null
}
