import { type Database } from '@capstan/migrations'
import { sql, type SQL } from 'drizzle-orm'
import type { AppKey } from './publish-app.js'

export type DueApp = AppKey & {
  isWanted: boolean
  /** The change for which it was found. */
  wantedIn: number
}

/** Apps whose objects have to be written or removed. */
export async function findDueApps(db: Database, now: Date, most: number): Promise<DueApp[]> {
  const rows = await db.execute<{ app_id: string; org_id: string; wanted_in: string; is_wanted: boolean }>(
    selectDueApps(now, most),
  )
  return [...rows].map((row) => ({
    appId: row.app_id,
    orgId: row.org_id,
    isWanted: row.is_wanted,
    wantedIn: Number(row.wanted_in),
  }))
}

/**
 * New changes before renewals: a pause does not stand behind a fleet of apps whose statements are only getting old. Last
 * what failed or has more to copy, the one that waits the longest first. Each of the three is read from an index that
 * holds nothing else, however many apps there are.
 */
export function selectDueApps(now: Date, most: number): SQL {
  const at = now.toISOString()
  const columns = sql`app_id, org_id, wanted_in, claimed_until, renew_at`
  return sql`
    with due as (
      (select 1 as turn, ${columns} from static_apps
        where claimed_until is null and changed_in is distinct from wanted_in order by app_id limit ${most})
      union all
      (select 2, ${columns} from static_apps
        where claimed_until is null and changed_in is not distinct from wanted_in and renew_at <= ${at}
        order by renew_at limit ${most})
      union all
      (select 3, ${columns} from static_apps where claimed_until <= ${at} order by claimed_until limit ${most})
    )
    select due.app_id, due.org_id, due.wanted_in, wanted.id is not null as is_wanted
    from due left join lateral (
      select a.id from apps a join organizations o on o.id = a.org_id
      where a.id = due.app_id and a.static_delivery_enabled and o.terminating_at is null limit 1
    ) wanted on true
    order by due.turn, due.claimed_until, due.renew_at, due.app_id
    limit ${most}`
}
