import { auditCheckpoints, withOrg } from '@capstan/migrations'
import { and, asc, eq, isNull } from 'drizzle-orm'
import { ObjectStoreError } from '../objects/object-store.js'
import type { ControlDeps } from './control-deps.js'

const MOST_AT_ONCE = 200

type Needed = Pick<ControlDeps, 'db' | 'objects' | 'now'>

/** Puts each signed note into the object store, where it is written once: `audit/<organization>/checkpoints/<size>`. */
export async function publishCheckpoints({ db, objects, now }: Needed): Promise<number> {
  const waiting = await db
    .select({ orgId: auditCheckpoints.orgId, size: auditCheckpoints.size, note: auditCheckpoints.note })
    .from(auditCheckpoints)
    .where(isNull(auditCheckpoints.publishedAt))
    .orderBy(asc(auditCheckpoints.createdAt))
    .limit(MOST_AT_ONCE)
  for (const { orgId, size, note } of waiting) {
    try {
      await objects.put(`audit/${orgId}/checkpoints/${size}`, Buffer.from(note), { contentType: 'text/plain' })
    } catch (error) {
      // A pass that ended between the two writes has stored it already.
      if (!(error instanceof ObjectStoreError && error.code === 'object-exists')) throw error
    }
    const which = and(eq(auditCheckpoints.orgId, orgId), eq(auditCheckpoints.size, size))
    await withOrg(db, orgId, (tx) => tx.update(auditCheckpoints).set({ publishedAt: now() }).where(which))
  }
  return waiting.length
}
