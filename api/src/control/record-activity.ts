import { apps, withOrg } from '@capstan/migrations'
import { sql } from 'drizzle-orm'
import type { ControlDeps } from './control-deps.js'

const HOUR_MS = 60 * 60_000
const DAY_MS = 24 * HOUR_MS
/** Devices say themselves which versions they are: a list of theirs has an end. */
const MAX_LISTED = 50

/**
 * Writes down for each app how many devices were active and what they ran. The row of an hour is written anew until the
 * hour is over, so the newest is never older than the pause between two passes.
 */
export async function recordActivity(deps: ControlDeps): Promise<number> {
  const organizations = await deps.db.selectDistinct({ orgId: apps.orgId }).from(apps)
  let recorded = 0
  for (const { orgId } of organizations) recorded += await recordOf(deps, orgId)
  return recorded
}

async function recordOf(deps: ControlDeps, orgId: string): Promise<number> {
  const now = deps.now()
  const since = (days: number) => sql`${new Date(now.getTime() - days * DAY_MS).toISOString()}::timestamptz`
  const bucket = new Date(Math.floor(now.getTime() / HOUR_MS) * HOUR_MS).toISOString()
  // Of each app by its own index; the policies keep it to this organization.
  const rows = await withOrg(deps.db, orgId, (tx) =>
    tx.execute(sql`
      with seen as materialized (
        select d.app_id, d.platform, d.app_version_name, d.last_seen_at, b.id as bundle_id
        from apps a join devices d on d.app_id = a.id left join bundles b on b.id = d.bundle_id and b.app_id = d.app_id
        where d.last_seen_at > ${since(30)}),
      counts as (
        select app_id, count(*) filter (where last_seen_at > ${since(1)}) as active_day,
          count(*) filter (where last_seen_at > ${since(7)}) as active_week, count(*) as active_month
        from seen group by app_id),
      by_bundle as (
        select app_id, bundle_id, count(*) as devices,
          row_number() over (partition by app_id order by count(*) desc, bundle_id) as place
        from seen where last_seen_at > ${since(1)} group by app_id, bundle_id),
      by_version as (
        select app_id, platform, app_version_name, count(*) as devices,
          row_number() over (partition by app_id order by count(*) desc, platform, app_version_name) as place
        from seen where last_seen_at > ${since(1)} group by app_id, platform, app_version_name)
      insert into app_activity (org_id, app_id, bucket, active_day, active_week, active_month, bundles, versions)
      select app_org(), c.app_id, ${bucket}::timestamptz, c.active_day, c.active_week, c.active_month,
        coalesce((select jsonb_agg(jsonb_build_object('bundleId', bundle_id, 'devices', devices) order by place)
          from by_bundle b where b.app_id = c.app_id and place <= ${MAX_LISTED}), '[]'),
        coalesce((select jsonb_agg(jsonb_build_object('platform', platform, 'appVersionName', app_version_name,
            'devices', devices) order by place)
          from by_version v where v.app_id = c.app_id and place <= ${MAX_LISTED}), '[]')
      from counts c
      on conflict (app_id, bucket) do update set active_day = excluded.active_day, active_week = excluded.active_week,
        active_month = excluded.active_month, bundles = excluded.bundles, versions = excluded.versions
      returning app_id`),
  )
  return rows.length
}
