import {
  appWebhookDeliveries,
  artifacts,
  bundleFiles,
  discardedObjects,
  newId,
  organizations,
  outbox,
  uploadParts,
  uploads,
  withOrg,
} from '@capstan/migrations'
import { and, asc, eq, exists, inArray, isNotNull, lt, not, sql } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { deleteDiscarded } from '../jobs/delete-discarded.js'
import { noteDiscarded } from '../objects/note-discarded.js'
import type { ControlDeps } from './control-deps.js'
import { LONGEST_LINK_MS } from './erase-organizations.js'

const DAY_MS = 24 * 60 * 60_000
const UPLOAD_DAYS = 2
const OUTBOX_DAYS = 7
const DELIVERY_DAYS = 30
const LOOK_AGAIN_DAYS = 7
const ROWS_AT_ONCE = 500

/**
 * Removes what nobody waits for: files of builds older than their organization keeps them, uploads that were never
 * finished, rows of the outbox that were sent, deliveries of webhooks. A row goes before its object, so nothing points at what is gone; what is to
 * go is noted with it and removed here when it could not be removed at once.
 */
export async function sweepLeftovers(
  deps: ControlDeps,
): Promise<{ artifacts: number; uploads: number; outbox: number; discarded: number; deliveries: number }> {
  return {
    discarded: await removeDiscarded(deps),
    artifacts: await expireArtifacts(deps),
    uploads: await dropUploads(deps),
    outbox: await dropSentRows(deps),
    deliveries: await dropDeliveries(deps),
  }
}

const before = (deps: ControlDeps, days: number) => new Date(deps.now().getTime() - days * DAY_MS)

async function expireArtifacts(deps: ControlDeps): Promise<number> {
  // What is still served is looked at again after a week.
  const notLookedAt = sql`coalesce(${artifacts.expiredAt}, '-infinity') < ${before(deps, LOOK_AGAIN_DAYS).toISOString()}`
  const age = sql`${artifacts.createdAt} + make_interval(days => ${organizations.artifactRetentionDays})`
  const due = await deps.db
    .select({ id: artifacts.id, orgId: artifacts.orgId })
    .from(artifacts)
    .innerJoin(organizations, eq(organizations.id, artifacts.orgId))
    .where(and(eq(artifacts.status, 'ready'), notLookedAt, sql`${age} < ${deps.now().toISOString()}`))
    .limit(ROWS_AT_ONCE)
  let expired = 0
  for (const { id, orgId } of due) if (await expireArtifact(deps, orgId, id)) expired += 1
  return expired
}

async function expireArtifact(deps: ControlDeps, orgId: string, id: string): Promise<boolean> {
  const gone = await withOrg(deps.db, orgId, async (tx) => {
    // A statement of its own: the one below then sees a bundle that was made while this waited.
    await tx.select({ id: artifacts.id }).from(artifacts).where(eq(artifacts.id, id)).for('update')
    // A bundle made of a build shares its object: devices still fetch it.
    const served = tx
      .select({ id: bundleFiles.id })
      .from(bundleFiles)
      .where(eq(bundleFiles.objectKey, artifacts.objectKey))
    const [row] = await tx
      .update(artifacts)
      .set({ status: 'discarded', expiredAt: deps.now() })
      .where(and(eq(artifacts.id, id), eq(artifacts.status, 'ready'), not(exists(served))))
      .returning()
    if (!row) {
      await tx.update(artifacts).set({ expiredAt: deps.now() }).where(eq(artifacts.id, id))
      return null
    }
    const by = { orgId, actor: { type: 'system', id: 'control' } as const, requestId: newId() }
    await recordAudit(tx, by, {
      action: 'artifact.expired',
      target: { app: row.appId, build: row.buildId, artifact: id },
      data: { type: row.type, sha256: row.sha256 },
    })
    await noteDiscarded(tx, orgId, [row.objectKey])
    return row
  })
  if (gone) await deleteDiscarded(deps.objects, deps.log, [gone.objectKey])
  return gone !== null
}

async function dropUploads(deps: ControlDeps): Promise<number> {
  const abandoned = await deps.db
    .select({ id: uploads.id, orgId: uploads.orgId })
    .from(uploads)
    .where(and(eq(uploads.status, 'open'), lt(uploads.createdAt, before(deps, UPLOAD_DAYS))))
    .limit(ROWS_AT_ONCE)
  let dropped = 0
  for (const { id, orgId } of abandoned) {
    const keys = await withOrg(deps.db, orgId, async (tx) => {
      const parts = await tx
        .select({ key: uploadParts.objectKey })
        .from(uploadParts)
        .where(eq(uploadParts.uploadId, id))
      const open = and(eq(uploads.id, id), eq(uploads.status, 'open'))
      const removed = await tx.delete(uploads).where(open).returning({ id: uploads.id })
      if (removed.length === 0) return null
      const keys = parts.map(({ key }) => key)
      await noteDiscarded(tx, orgId, keys)
      return keys
    })
    if (keys === null) continue
    await deleteDiscarded(deps.objects, deps.log, keys)
    dropped += 1
  }
  return dropped
}

/**
 * Once more until no link to store something there can be valid any more: what came late goes as well. Answers how many
 * notes are settled.
 */
async function removeDiscarded(deps: ControlDeps): Promise<number> {
  const noted = await deps.db
    .select()
    .from(discardedObjects)
    .orderBy(asc(discardedObjects.createdAt), asc(discardedObjects.id))
    .limit(ROWS_AT_ONCE * 10)
  let settled = 0
  for (const { id, orgId, key, createdAt } of noted) {
    // A note cannot name what is another organization's, whoever wrote it.
    const isOwn = key.startsWith(`orgs/${orgId}/`)
    if (!isOwn) deps.log.error({ orgId, key }, 'a note of a discarded object is not understood; set aside')
    const isGone = !isOwn || (await deleteDiscarded(deps.objects, deps.log, [key]))
    if (!isGone || deps.now().getTime() - createdAt.getTime() < LONGEST_LINK_MS) continue
    await withOrg(deps.db, orgId, (tx) => tx.delete(discardedObjects).where(eq(discardedObjects.id, id)))
    settled += 1
  }
  return settled
}

async function dropSentRows(deps: ControlDeps): Promise<number> {
  const sent = await deps.db
    .select({ id: outbox.id })
    .from(outbox)
    .where(and(isNotNull(outbox.sentAt), lt(outbox.sentAt, before(deps, OUTBOX_DAYS))))
    .limit(ROWS_AT_ONCE * 10)
  if (sent.length === 0) return 0
  const ids = sent.map(({ id }) => id)
  return (await deps.db.delete(outbox).where(inArray(outbox.id, ids)).returning({ id: outbox.id })).length
}

async function dropDeliveries(deps: ControlDeps): Promise<number> {
  const old = await deps.db
    .select({ id: appWebhookDeliveries.id })
    .from(appWebhookDeliveries)
    .where(lt(appWebhookDeliveries.createdAt, sql`now() - make_interval(days => ${DELIVERY_DAYS})`))
    .limit(ROWS_AT_ONCE * 10)
  if (old.length === 0) return 0
  const ids = old.map(({ id }) => id)
  const gone = deps.db.delete(appWebhookDeliveries).where(inArray(appWebhookDeliveries.id, ids))
  return (await gone.returning({ id: appWebhookDeliveries.id })).length
}
