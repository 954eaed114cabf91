import { dependencyCaches, type JobCache, jobs, withOrg, type Transaction } from '@capstan/migrations'
import type { CacheAnswer, CacheQuestion } from '@capstan/migrations/messages'
import { and, eq, inArray } from 'drizzle-orm'
import type { Lease } from '../auth/worker-access.js'
import type { Context } from '../context.js'
import { cacheKey, findCachePlace, keysToRead, type CachePlace } from '../dependency-caches/cache-place.js'
import { balanceOf, recentRuns } from '../dependency-caches/judge-cache.js'
import { holdLease } from './hold-lease.js'

export const MAX_CACHE_BYTES = 1024 ** 3
const LINK_SECONDS = 15 * 60
/** npm alone compares every package that it takes from its cache with the hash that the lockfile has for it. */
const comparedWithLockfile: readonly CacheQuestion['packageManager'][] = ['npm']

type Found = { answer: Exclude<CacheAnswer, { state: 'hit' }> } | { hit: typeof dependencyCaches.$inferSelect }

/** The cache that fits a build, if its app has one and it is worth its time. Notes on the job what was answered. */
export async function findCache(ctx: Context, lease: Lease, question: CacheQuestion): Promise<CacheAnswer> {
  const found = await withOrg(ctx.db, ctx.orgId, async (tx): Promise<Found> => {
    await holdLease(tx, ctx, lease)
    const place = await findCachePlace(tx, lease.buildId)
    if (place === null) return { answer: { state: 'off', reason: 'The build was requested without a cache.' } }
    const { packageManager } = question
    if (place.tier === 'release' && !comparedWithLockfile.includes(packageManager)) {
      const reason = `Signed builds use a cache only with ${comparedWithLockfile.join(', ')}, which compares it with the lockfile.`
      return { answer: { state: 'off', reason } }
    }
    const note = { key: cacheKey(place, question), tier: place.tier, packageManager }
    const balance = balanceOf(await recentRuns(tx, { ...note, appId: place.appId, now: ctx.now() }))
    if (balance.costsMoreThanItSaves) {
      await noteOnJob(tx, lease, { ...note, outcome: 'off' })
      const reason = `In the last builds the cache cost ${-balance.savedMs} ms more than it saved; it is left out for a while.`
      return { answer: { state: 'off', reason } }
    }
    const hit = await takeReady(tx, ctx, place, question)
    await noteOnJob(
      tx,
      lease,
      hit ? { ...note, outcome: 'hit', cacheId: hit.id, sizeBytes: hit.sizeBytes } : { ...note, outcome: 'miss' },
    )
    return hit ? { hit } : { answer: { state: 'miss', maxBytes: place.mayWrite ? MAX_CACHE_BYTES : null } }
  })
  if ('answer' in found) return found.answer
  const { objectKey, sha256, sizeBytes } = found.hit
  const url = await ctx.objects.signedGetUrl(objectKey, { expiresInSeconds: LINK_SECONDS })
  return { state: 'hit', url, sha256, sizeBytes }
}

async function takeReady(tx: Transaction, ctx: Context, place: CachePlace, question: CacheQuestion) {
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
  const [chosen] = rows.toSorted((one, other) => keys.indexOf(one.key) - keys.indexOf(other.key))
  if (!chosen) return null
  await tx.update(dependencyCaches).set({ lastUsedAt: ctx.now() }).where(eq(dependencyCaches.id, chosen.id))
  return chosen
}

async function noteOnJob(tx: Transaction, { jobId }: Lease, cache: JobCache): Promise<void> {
  await tx.update(jobs).set({ cache }).where(eq(jobs.id, jobId))
}
