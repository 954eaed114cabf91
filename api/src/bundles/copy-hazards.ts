import { bundleCopyHazards, type Transaction } from '@capstan/migrations'
import { and, eq, sql } from 'drizzle-orm'

/*
 * The official clients look for the checksum of a new file anywhere in the bundle that they run, but then copy what that
 * bundle has at the new path: content that moved onto the path of another file is silently replaced by that other file.
 */

/** A path that would come out wrong on the way from one manifest bundle to another, else null. */
export async function findCopyHazard(tx: Transaction, way: { from: string; to: string }): Promise<string | null> {
  const [found] = await tx
    .select({ href: bundleCopyHazards.href })
    .from(bundleCopyHazards)
    .where(and(eq(bundleCopyHazards.fromBundleId, way.from), eq(bundleCopyHazards.toBundleId, way.to)))
  return found?.href ?? null
}

/** Before a manifest bundle becomes ready: of two that do so at once, one sees the other. */
export async function lockCopyHazards(tx: Transaction, appId: string): Promise<void> {
  await tx.execute(sql`select pg_advisory_xact_lock(hashtextextended(${appId}, 12))`)
}

/** Compares a manifest bundle, which has just become ready, with every other one of its app, both ways. */
export async function recordCopyHazards(
  tx: Transaction,
  bundle: { id: string; orgId: string; appId: string },
): Promise<void> {
  // Of files that were added just now there are no statistics, and without them the planner takes the quadratic way.
  await tx.execute(sql`set local enable_nestloop = off`)
  await tx.execute(sql`
    with mine as materialized (
      select href, sha256 from bundle_files where bundle_id = ${bundle.id} and href is not null
    ),
    theirs as materialized (
      select f.bundle_id, f.href, f.sha256 from bundle_files f join bundles b on b.id = f.bundle_id
      where b.app_id = ${bundle.appId} and b.id <> ${bundle.id} and b.status = 'ready'
        and b.artifact_type = 'manifest' and f.href is not null
    ),
    differing as materialized (
      select t.bundle_id, t.href, t.sha256 as theirs, m.sha256 as mine
      from mine m join theirs t on t.href = m.href and t.sha256 <> m.sha256
    ),
    found as (
      select bundle_id as source, ${bundle.id}::uuid as target, href from differing d
      where exists (select from theirs t where t.bundle_id = d.bundle_id and t.sha256 = d.mine)
      union all
      select ${bundle.id}::uuid, bundle_id, href from differing d
      where exists (select from mine m where m.sha256 = d.theirs)
    )
    insert into bundle_copy_hazards (org_id, app_id, from_bundle_id, to_bundle_id, href)
    select ${bundle.orgId}, ${bundle.appId}, source, target, min(href) from found group by source, target
    on conflict do nothing`)
  await tx.execute(sql`set local enable_nestloop = on`)
}
