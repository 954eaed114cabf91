import { bundleFiles, bundles, type Transaction } from '@capstan/migrations'
import { and, asc, eq, isNotNull } from 'drizzle-orm'

type Way = { from: string; to: string }

const MAX_REMEMBERED = 1_000
const remembered = new Map<string, string | null>()

/**
 * A file that the official clients would get wrong on the way from one manifest bundle to another, else null. They look
 * for the new checksum anywhere in the old bundle, but then copy what the old bundle has at the new path: content that
 * moved onto the path of another file is silently replaced by that other file.
 */
export async function findCopyHazard(tx: Transaction, way: Way): Promise<string | null> {
  return compare(tx, way, await listPlaces(tx, way.from))
}

/**
 * The same for a device, which says itself what it runs. Both bundles are ready and never change again, so the answer is
 * kept: what a stranger can ask for is worked out once.
 */
export async function recallCopyHazard(tx: Transaction, way: Way): Promise<string | null> {
  const key = `${way.from.toLowerCase()} ${way.to}`
  const known = remembered.get(key)
  if (known !== undefined) return known
  const before = await listPlaces(tx, way.from)
  if (before.length === 0) return null
  const found = await compare(tx, way, before)
  const [oldest] = remembered.keys()
  if (remembered.size >= MAX_REMEMBERED && oldest !== undefined) remembered.delete(oldest)
  remembered.set(key, found)
  return found
}

type Place = { href: string | null; sha256: string }

/** In memory, because the planner takes the quadratic way for bundles that it has no statistics of yet. */
async function compare(tx: Transaction, { to }: Way, before: readonly Place[]): Promise<string | null> {
  if (before.length === 0) return null
  const contents = new Set(before.map(({ sha256 }) => sha256))
  const byPath = new Map(before.map(({ href, sha256 }) => [href, sha256]))
  const hazard = (await listPlaces(tx, to)).find(({ href, sha256 }) => {
    const old = byPath.get(href)
    return old !== undefined && old !== sha256 && contents.has(sha256)
  })
  return hazard?.href ?? null
}

function listPlaces(tx: Transaction, bundleId: string): Promise<Place[]> {
  return tx
    .select({ href: bundleFiles.href, sha256: bundleFiles.sha256 })
    .from(bundleFiles)
    .innerJoin(bundles, and(eq(bundles.id, bundleFiles.bundleId), eq(bundles.status, 'ready')))
    .where(and(eq(bundleFiles.bundleId, bundleId), isNotNull(bundleFiles.href)))
    .orderBy(asc(bundleFiles.href))
}
