import { dependencyCaches, newId, withOrg } from '@capstan/migrations'
import type { CacheDeclaration, CacheUpload } from '@capstan/migrations/messages'
import { and, eq } from 'drizzle-orm'
import { appObjectPrefix } from '../apps/delete-app.js'
import type { Lease } from '../auth/worker-access.js'
import type { Context } from '../context.js'
import { cacheKey, findCachePlace } from '../dependency-caches/cache-place.js'
import { Problem } from '../problems.js'
import { MAX_CACHE_BYTES } from './find-cache.js'
import { holdLease } from './hold-lease.js'

const UPLOAD_URL_SECONDS = 60 * 60

/** Notes what a build wants to leave for the next one, and answers where it goes. The same again is the same. */
export async function declareCache(ctx: Context, lease: Lease, declaration: CacheDeclaration): Promise<CacheUpload> {
  const { sizeBytes, sha256, packageManager } = declaration
  if (sizeBytes > MAX_CACHE_BYTES) {
    throw new Problem('request-too-large', `A cache may have ${MAX_CACHE_BYTES} bytes; this one has ${sizeBytes}.`)
  }
  const cache = await withOrg(ctx.db, ctx.orgId, async (tx) => {
    await holdLease(tx, ctx, lease)
    const place = await findCachePlace(tx, lease.buildId)
    if (!place?.mayWrite) throw new Problem('cache-not-writable', 'This build leaves nothing in the cache of its app.')
    const own = and(eq(dependencyCaches.buildId, lease.buildId), eq(dependencyCaches.attempt, lease.attempt))
    const [declared] = await tx.select().from(dependencyCaches).where(own)
    if (declared?.sha256 === sha256) return declared
    if (declared) throw new Problem('cache-not-writable', 'This attempt of the build has left a cache already.')
    const id = newId()
    const row = {
      id,
      orgId: ctx.orgId,
      appId: place.appId,
      buildId: lease.buildId,
      attempt: lease.attempt,
      key: cacheKey(place, declaration),
      tier: place.tier,
      branch: place.branch,
      packageManager,
      sizeBytes,
      sha256,
      objectKey: `${appObjectPrefix(ctx.orgId, place.appId)}caches/${id}`,
    }
    await tx.insert(dependencyCaches).values(row)
    return row
  })
  const uploadUrl = await ctx.objects.signedPutUrl(cache.objectKey, {
    expiresInSeconds: UPLOAD_URL_SECONDS,
    contentType: 'application/x-tar',
    maxBytes: sizeBytes,
    sha256,
  })
  return { cacheId: cache.id, uploadUrl }
}
