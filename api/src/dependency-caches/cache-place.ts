import { createHash } from 'node:crypto'
import { apps, builds, buildSources, type JobCache, type Transaction } from '@capstan/migrations'
import type { CacheQuestion } from '@capstan/migrations/messages'
import { eq } from 'drizzle-orm'

/** Where builds keep the caches of one app, tier and branch. */
export type CachePlace = {
  orgId: string
  appId: string
  tier: JobCache['tier']
  /** The reference that was built; empty for what was uploaded. */
  branch: string
  mayWrite: boolean
}

type Build = Pick<typeof builds.$inferSelect, 'orgId' | 'appId' | 'useCache' | 'credentialVersion'>
type Source = Pick<typeof buildSources.$inferSelect, 'type' | 'gitRef'>

/**
 * Signed builds have a tier of their own: what goes into a release was written by builds of releases. A file at a foreign
 * address is chosen by whoever serves it, so such a build reads what the app's own builds left and leaves nothing.
 */
export function cachePlaceOf(build: Build, source: Source): CachePlace | null {
  if (!build.useCache) return null
  return {
    orgId: build.orgId,
    appId: build.appId,
    tier: build.credentialVersion === null ? 'members' : 'release',
    branch: source.gitRef ?? '',
    mayWrite: source.type !== 'url',
  }
}

export async function findCachePlace(tx: Transaction, buildId: string): Promise<CachePlace | null> {
  const [row] = await tx
    .select({ build: builds, source: buildSources })
    .from(builds)
    .innerJoin(buildSources, eq(buildSources.id, builds.buildSourceId))
    .where(eq(builds.id, buildId))
  return row ? cachePlaceOf(row.build, row.source) : null
}

/** Content-addressed: whatever could change what is downloaded, and whoever may not share it, is in the hash. */
export function cacheKey(place: CachePlace, { packageManager, lockfileSha256, imageId }: CacheQuestion): string {
  const { orgId, appId, tier, branch } = place
  const parts = ['dependency cache 1', orgId, appId, tier, branch, packageManager, lockfileSha256, imageId]
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex')
}

/** Its own branch's, then what the default branch left; a build never writes for another branch. */
export function keysToRead(place: CachePlace, question: CacheQuestion): string[] {
  const own = cacheKey(place, question)
  if (place.branch === '' || place.branch === 'HEAD') return [own]
  return [own, cacheKey({ ...place, branch: 'HEAD' }, question)]
}

/** Whether the app lets its signed builds use a cache. */
export async function releasesAreCached(tx: Transaction, appId: string): Promise<boolean> {
  const [app] = await tx.select({ releaseCache: apps.releaseCache }).from(apps).where(eq(apps.id, appId))
  return app?.releaseCache ?? false
}
