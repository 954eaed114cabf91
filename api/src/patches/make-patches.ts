import { createHash } from 'node:crypto'
import { bundleFiles, bundlePatches, bundles, newId, withOrg, type Transaction } from '@capstan/migrations'
import { and, desc, eq, inArray, isNull, lt, or, sql } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { bundleObjectFolder } from '../bundles/queries.js'
import type { ControlDeps } from '../control/control-deps.js'
import { runPatchProgram } from './run-patch-program.js'

const CLAIM_MS = 35 * 60_000
const ATTEMPTS = 3
/** Both zips together; what they unpack to is bounded by the limits of patches. */
const MAX_ZIP_BYTES = 100 * 1024 * 1024

type Deps = Pick<ControlDeps, 'db' | 'objects' | 'log' | 'now'>
type Patch = typeof bundlePatches.$inferSelect
type Zip = { objectKey: string; sizeBytes: number; sha256: string }
type Work = { patch: Patch; effort: 'fast' | 'best'; old: Zip; fresh: Zip; folder: string }

/** Makes every patch that is due, one after the other. */
export async function makePatches(deps: Deps, signal: AbortSignal): Promise<number> {
  let made = 0
  while (!signal.aborted && (await makeNextPatch(deps, signal))) made += 1
  return made
}

/** Makes one patch. Answers whether there was one. */
async function makeNextPatch(deps: Deps, signal: AbortSignal): Promise<boolean> {
  const now = deps.now()
  const due = await findNext(deps.db, now)
  if (!due) return false
  const work = await withOrg(deps.db, due.orgId, (tx) => claim(tx, due.id, now))
  if (work) await make(deps, work, signal)
  return true
}

/**
 * Fast ones before better ones; of these, one of the organization that waits the longest since its last, and of its own one
 * to the newest bundle. So nobody's line is stood behind, however long it is.
 */
async function findNext(db: Deps['db'], now: Date): Promise<{ id: string; orgId: string } | undefined> {
  const first = db
    .selectDistinctOn([bundlePatches.orgId], {
      id: bundlePatches.id,
      orgId: bundlePatches.orgId,
      wantedEffort: bundlePatches.wantedEffort,
    })
    .from(bundlePatches)
    .where(and(sql`${bundlePatches.wantedEffort} is not null`, isFree(now)))
    .orderBy(bundlePatches.orgId, desc(bundlePatches.wantedEffort), desc(bundlePatches.createdAt))
    .as('first')
  // Whatever was worked on was changed after it was ordered.
  const servedAt = sql`(select max(updated_at) from bundle_patches
    where org_id = ${first.orgId} and updated_at > created_at)`
  const [next] = await db
    .select({ id: first.id, orgId: first.orgId })
    .from(first)
    .orderBy(desc(first.wantedEffort), sql`${servedAt} nulls first`, first.id)
    .limit(1)
  return next
}

const isFree = (now: Date) => or(isNull(bundlePatches.claimedUntil), lt(bundlePatches.claimedUntil, now))

/** One of several control processes gets it; one that dies leaves it to the next. */
async function claim(tx: Transaction, id: string, now: Date): Promise<Work | null> {
  const [patch] = await tx
    .update(bundlePatches)
    .set({
      claimedUntil: new Date(now.getTime() + CLAIM_MS),
      attempts: sql`${bundlePatches.attempts} + 1`,
      updatedAt: sql`now()`,
    })
    .where(and(eq(bundlePatches.id, id), sql`${bundlePatches.wantedEffort} is not null`, isFree(now)))
    .returning()
  if (!patch?.wantedEffort) return null
  const rows = await tx
    .select({ bundle: { id: bundles.id, orgId: bundles.orgId, appId: bundles.appId }, file: bundleFiles })
    .from(bundles)
    .innerJoin(bundleFiles, eq(bundleFiles.id, bundles.fileId))
    .where(inArray(bundles.id, [patch.fromBundleId, patch.toBundleId]))
  const zipOf = (bundleId: string): Zip | null => {
    const found = rows.find(({ bundle }) => bundle.id === bundleId)?.file
    return found?.objectKey ? { ...found, objectKey: found.objectKey } : null
  }
  const [old, fresh] = [zipOf(patch.fromBundleId), zipOf(patch.toBundleId)]
  const refusal =
    patch.attempts > ATTEMPTS
      ? 'It could not be made in three attempts.'
      : !old || !fresh
        ? 'One of the bundles is not kept here.'
        : old.sizeBytes + fresh.sizeBytes > MAX_ZIP_BYTES
          ? 'The bundles are too large.'
          : null
  if (refusal !== null || !old || !fresh) {
    await settle(tx, patch, { refusal })
    return null
  }
  const folder = `${bundleObjectFolder({ orgId: patch.orgId, appId: patch.appId, id: patch.toBundleId })}/patches`
  return { patch, effort: patch.wantedEffort, old, fresh, folder }
}

async function make(deps: Deps, work: Work, signal: AbortSignal): Promise<void> {
  const { patch, effort, old, fresh } = work
  const open = (zip: Zip) => async () => (await deps.objects.get(zip.objectKey)).body
  try {
    const made = await runPatchProgram(
      { effort, old: pick(old), fresh: pick(fresh) },
      { old: open(old), fresh: open(fresh) },
      signal,
    )
    if ('patch' in made) await offer(deps, work, made.patch)
    else await refuse(deps, work, made.reason)
  } catch (error) {
    // The claim is given back, so that the next attempt need not wait for its end.
    await withOrg(deps.db, patch.orgId, (tx) =>
      tx
        .update(bundlePatches)
        .set({ claimedUntil: null, ...(signal.aborted ? { attempts: patch.attempts - 1 } : {}) })
        .where(stillOurs(patch)),
    )
    if (!signal.aborted) deps.log.error({ err: error, patchId: patch.id, effort }, 'a patch could not be made')
  }
}

const pick = ({ sizeBytes, sha256 }: Zip) => ({ size: sizeBytes, sha256 })

/** A claim that ran out may be somebody else's by now. */
const stillOurs = (patch: Patch) => and(eq(bundlePatches.id, patch.id), eq(bundlePatches.attempts, patch.attempts))

async function refuse(deps: Deps, { patch, effort }: Work, reason: string): Promise<void> {
  await withOrg(deps.db, patch.orgId, (tx) =>
    settle(tx, patch, { refusal: reason, next: effort === 'fast' ? 'best' : null }),
  )
  deps.log.info({ patchId: patch.id, effort, reason }, 'a patch is not worth offering')
}

/** A patch that was offered before stays. */
async function settle(
  tx: Transaction,
  patch: Patch,
  { refusal, next = null }: { refusal: string | null; next?: 'best' | null },
): Promise<void> {
  await tx
    .update(bundlePatches)
    .set({ wantedEffort: next, claimedUntil: null, refusal, updatedAt: sql`now()` })
    .where(stillOurs(patch))
}

/** Stores the patch, then offers it in place of a larger one. Addresses name the bytes, so none ever changes its content. */
async function offer(deps: Deps, work: Work, bytes: Buffer): Promise<void> {
  const { patch, effort } = work
  const wantedEffort = effort === 'fast' ? 'best' : null
  const isBetter = patch.sizeBytes === null || bytes.length < patch.sizeBytes
  const objectKey = `${work.folder}/${newId()}`
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  if (isBetter) await deps.objects.put(objectKey, bytes, { contentType: 'application/octet-stream', sha256 })
  const stored = isBetter ? { objectKey, sizeBytes: bytes.length, sha256 } : {}
  const offered = await withOrg(deps.db, patch.orgId, async (tx) => {
    const [row] = await tx
      .update(bundlePatches)
      .set({ ...stored, wantedEffort, claimedUntil: null, attempts: 0, refusal: null, updatedAt: sql`now()` })
      .where(stillOurs(patch))
      .returning({ id: bundlePatches.id })
    if (!row || !isBetter) return row !== undefined
    const by = { orgId: patch.orgId, actor: { type: 'system', id: 'control' } as const, requestId: newId() }
    await recordAudit(tx, by, {
      action: 'bundle-patch.made',
      target: { app: patch.appId, bundle: patch.toBundleId, from: patch.fromBundleId },
      data: { sha256, sizeBytes: bytes.length, effort },
    })
    return true
  })
  // Either the new object has no row, as when a bundle was deleted meanwhile, or the old one has none any more.
  const orphan = offered ? patch.objectKey : objectKey
  if (isBetter && orphan !== null) await deps.objects.delete(orphan)
}
