import { dependencyCaches, type jobs, type Transaction } from '@capstan/migrations'
import { and, eq, ne, sql } from 'drizzle-orm'
import { noteDiscarded } from '../objects/note-discarded.js'

/**
 * At the end of an attempt: what it stored counts from now on if the build succeeded and nobody was first with the same
 * key; everything else of the build goes. Answers the keys of objects that nothing refers to any more.
 */
export async function settleCaches(
  tx: Transaction,
  job: typeof jobs.$inferSelect,
  succeeded: boolean,
): Promise<{ discardedKeys: string[]; ready: { id: string; key: string; sha256: string } | null }> {
  const ofBuild = eq(dependencyCaches.buildId, job.buildId)
  const ready = succeeded ? await makeReady(tx, job) : null
  const gone = await tx
    .delete(dependencyCaches)
    .where(and(ofBuild, ne(dependencyCaches.status, 'ready')))
    .returning({ key: dependencyCaches.objectKey })
  const discardedKeys = gone.map(({ key }) => key)
  await noteDiscarded(tx, job.orgId, discardedKeys)
  return { ready, discardedKeys }
}

async function makeReady(tx: Transaction, { buildId, attempt }: typeof jobs.$inferSelect) {
  const stored = and(
    eq(dependencyCaches.buildId, buildId),
    eq(dependencyCaches.attempt, attempt),
    eq(dependencyCaches.status, 'stored'),
  )
  const [own] = await tx.select().from(dependencyCaches).where(stored).limit(1)
  if (!own) return null
  // Two builds of one key may end at once; the index would fail the second as a whole.
  await tx.execute(sql`select pg_advisory_xact_lock(hashtextextended(${`dependency-cache/${own.key}`}, 0))`)
  const first = and(
    eq(dependencyCaches.appId, own.appId),
    eq(dependencyCaches.key, own.key),
    eq(dependencyCaches.status, 'ready'),
  )
  if ((await tx.$count(dependencyCaches, first)) > 0) return null
  await tx
    .update(dependencyCaches)
    .set({ status: 'ready', lastUsedAt: sql`now()` })
    .where(eq(dependencyCaches.id, own.id))
  return { id: own.id, key: own.key, sha256: own.sha256 }
}
