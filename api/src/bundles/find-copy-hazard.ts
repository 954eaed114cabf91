import { bundleFiles, type Transaction } from '@capstan/migrations'
import { and, eq, exists, isNotNull, ne } from 'drizzle-orm'
import { alias } from 'drizzle-orm/pg-core'

const before = alias(bundleFiles, 'before')
const source = alias(bundleFiles, 'source')

/**
 * A file that the official clients would get wrong on the way from one manifest bundle to another, else null. They look
 * for the new checksum anywhere in the old bundle, but then copy what the old bundle has at the new path: content that
 * moved onto the path of another file is silently replaced by that other file.
 */
export async function findCopyHazard(tx: Transaction, way: { from: string; to: string }): Promise<string | null> {
  const found = tx
    .select({ id: source.id })
    .from(source)
    .where(and(eq(source.bundleId, way.from), eq(source.sha256, bundleFiles.sha256), isNotNull(source.href)))
  const [hazard] = await tx
    .select({ href: bundleFiles.href })
    .from(bundleFiles)
    .innerJoin(before, and(eq(before.bundleId, way.from), eq(before.href, bundleFiles.href)))
    .where(and(eq(bundleFiles.bundleId, way.to), ne(before.sha256, bundleFiles.sha256), exists(found)))
    .orderBy(bundleFiles.href)
    .limit(1)
  return hazard?.href ?? null
}
