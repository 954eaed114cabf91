import { jobs, type JobCache, type Transaction } from '@capstan/migrations'
import { and, desc, eq, gt, isNotNull, sql } from 'drizzle-orm'

const DAY_MS = 24 * 60 * 60_000
/** Older builds say little about the next: a cache that was left out is tried again. */
const LOOK_BACK_MS = 14 * DAY_MS
const LOOK_BACK_BUILDS = 20
const ENOUGH_HITS = 3
const ENOUGH_SAVES = 10

export type CacheRun = Pick<JobCache, 'outcome' | 'restoreMs' | 'installMs' | 'saveMs'>

export type CacheBalance = { hits: number; saves: number; savedMs: number; costsMoreThanItSaves: boolean }

/**
 * What the cache saved in all: for each hit the usual install without it, less restoring and installing with it; less what
 * it took to save.
 */
export function balanceOf(runs: readonly CacheRun[]): CacheBalance {
  const usual = median(runs.flatMap((run) => (run.outcome === 'hit' ? [] : (run.installMs ?? []))))
  const gains = runs.flatMap(({ outcome, restoreMs, installMs }) =>
    outcome === 'hit' && restoreMs !== undefined && installMs !== undefined && usual !== null
      ? [usual - restoreMs - installMs]
      : [],
  )
  const costs = runs.flatMap(({ saveMs }) => saveMs ?? [])
  const savedMs = sum(gains) - sum(costs)
  const isKnown = gains.length >= ENOUGH_HITS || costs.length >= ENOUGH_SAVES
  return { hits: gains.length, saves: costs.length, savedMs, costsMoreThanItSaves: isKnown && savedMs < 0 }
}

type Family = { appId: string; tier: JobCache['tier']; packageManager: JobCache['packageManager']; now: Date }

/** The newest builds of an app that asked for such a cache. */
export async function recentRuns(tx: Transaction, { appId, tier, packageManager, now }: Family): Promise<CacheRun[]> {
  const rows = await tx
    .select({ cache: jobs.cache })
    .from(jobs)
    .where(
      and(
        eq(jobs.appId, appId),
        isNotNull(jobs.cache),
        sql`${jobs.cache} ->> 'tier' = ${tier}`,
        sql`${jobs.cache} ->> 'packageManager' = ${packageManager}`,
        gt(jobs.createdAt, new Date(now.getTime() - LOOK_BACK_MS)),
      ),
    )
    .orderBy(desc(jobs.id))
    .limit(LOOK_BACK_BUILDS)
  return rows.flatMap(({ cache }) => cache ?? [])
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0)

function median(values: readonly number[]): number | null {
  return values.toSorted((one, other) => one - other)[values.length >> 1] ?? null
}
