import { dependencyCaches, type JobCache, jobs, withOrg, type Transaction } from '@capstan/migrations'
import type { CacheAnswer, CacheQuestion } from '@capstan/migrations/messages'
import { and, eq, inArray } from 'drizzle-orm'
import type { Lease } from '../auth/worker-access.js'
import type { Context } from '../context.js'
import { cacheKey, findCachePlace, keysToRead, type CachePlace } from '../dependency-caches/cache-place.js'
import { dropLostCache } from '../dependency-caches/drop-lost-cache.js'
import { balanceOf, recentRuns } from '../dependency-caches/judge-cache.js'
import { headIntact } from '../objects/head-intact.js'
import { holdLease } from './hold-lease.js'

export const MAX_CACHE_BYTES = 1024 ** 3
const LINK_SECONDS = 15 * 60
/** npm alone compares every package that it takes from its cache with the hash that the lockfile has for it. */
const comparedWithLockfile: readonly CacheQuestion['packageManager'][] = ['npm']

type Cache = typeof dependencyCaches.$inferSelect
type Note = Pick<JobCache, 'key' | 'tier' | 'packageManager'>
type Off = Extract<CacheAnswer, { state: 'off' }>
type Found = Off | { state: 'on'; place: CachePlace; note: Note; candidates: Cache[] }

/**
 * The cache that fits a build, if its app has one and it is worth its time. Notes on the job what was answered. A row whose
 * object is not in the store gives up its place here, so that this build may leave a cache in it.
 */
export async function findCache(ctx: Context, lease: Lease, question: CacheQuestion): Promise<CacheAnswer> {
  const found = await withOrg(ctx.db, ctx.orgId, (tx) => findCandidates(tx, ctx, lease, question))
  if (found.state === 'off') return found
  const { place, note, candidates } = found
  for (const cache of candidates) {
    const object = await headIntact(ctx.objects, cache.objectKey)
    if (object?.sha256 === cache.sha256 && object.sizeBytes === cache.sizeBytes) return give(ctx, lease, note, cache)
    await dropLostCache(ctx, cache)
  }
  await withOrg(ctx.db, ctx.orgId, async (tx) => {
    await holdLease(tx, ctx, lease)
    await noteOnJob(tx, lease, { ...note, outcome: 'miss' })
  })
  return { state: 'miss', maxBytes: place.mayWrite ? MAX_CACHE_BYTES : null }
}

async function findCandidates(tx: Transaction, ctx: Context, lease: Lease, question: CacheQuestion): Promise<Found> {
  await holdLease(tx, ctx, lease)
  const place = await findCachePlace(tx, lease.buildId)
  if (place === null) return { state: 'off', reason: 'The build was requested without a cache.' }
  const { packageManager } = question
  if (place.tier === 'release' && !comparedWithLockfile.includes(packageManager)) {
    const reason = `Signed builds use a cache only with ${comparedWithLockfile.join(', ')}, which compares it with the lockfile.`
    return { state: 'off', reason }
  }
  const note = { key: cacheKey(place, question), tier: place.tier, packageManager }
  const balance = balanceOf(await recentRuns(tx, { ...note, appId: place.appId, now: ctx.now() }))
  if (balance.costsMoreThanItSaves) {
    await noteOnJob(tx, lease, { ...note, outcome: 'off' })
    const reason = `In the last builds the cache cost ${-balance.savedMs} ms more than it saved; it is left out for a while.`
    return { state: 'off', reason }
  }
  return { state: 'on', place, note, candidates: await listReady(tx, place, question) }
}

async function listReady(tx: Transaction, place: CachePlace, question: CacheQuestion): Promise<Cache[]> {
  const keys = keysToRead(place, question)
  const rows = await tx
    .select()
    .from(dependencyCaches)
    .where(
      and(
        eq(dependencyCaches.appId, place.appId),
        inArray(dependencyCaches.key, keys),
        eq(dependencyCaches.status, 'ready'),
      ),
    )
  return rows.toSorted((one, other) => keys.indexOf(one.key) - keys.indexOf(other.key))
}

async function give(ctx: Context, lease: Lease, note: Note, cache: Cache): Promise<CacheAnswer> {
  const { id, objectKey, sha256, sizeBytes } = cache
  await withOrg(ctx.db, ctx.orgId, async (tx) => {
    await holdLease(tx, ctx, lease)
    await tx.update(dependencyCaches).set({ lastUsedAt: ctx.now() }).where(eq(dependencyCaches.id, id))
    await noteOnJob(tx, lease, { ...note, outcome: 'hit', cacheId: id, sizeBytes })
  })
  const url = await ctx.objects.signedGetUrl(objectKey, { expiresInSeconds: LINK_SECONDS })
  return { state: 'hit', url, sha256, sizeBytes }
}

async function noteOnJob(tx: Transaction, { jobId }: Lease, cache: JobCache): Promise<void> {
  await tx.update(jobs).set({ cache }).where(eq(jobs.id, jobId))
}
