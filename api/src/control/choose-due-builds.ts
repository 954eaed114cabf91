import type { WorkerPool } from '@capstan/migrations'
import { sql } from 'drizzle-orm'
import { WORKER_GONE_AFTER } from '../worker-routes/report-worker.js'
import type { ControlDeps } from './control-deps.js'

export type DispatchLimits = {
  /** Builds of one organization that may be with workers at once, where it has no number of its own. */
  perOrganization: number
  /** Bells that may lie unanswered in a pool while no worker has said how much it can do. */
  unknownCapacity: number
  /** How often workers report. */
  workerReportMs: number
}

export type DueBuild = { jobId: string; buildId: string; orgId: string }

/**
 * The builds to ring for next. Few bells lie unanswered at a time, so that whoever comes later is not behind a long line;
 * the organization with the fewest builds under way comes first, and within one the earliest `due_at`. The organizations
 * that wait are found by leaps through the index: ten thousand builds of one of them cost no more than one.
 */
export async function chooseDueBuilds(
  { db, now }: ControlDeps,
  pool: WorkerPool,
  limits: DispatchLimits,
): Promise<DueBuild[]> {
  const since = new Date(now().getTime() - WORKER_GONE_AFTER * limits.workerReportMs).toISOString()
  const rows = await db.execute<DueBuild>(sql`
    with recursive waiting as (
      (select org_id from jobs where status = 'queued' and pool = ${pool} order by org_id limit 1)
      union all
      select (select j.org_id from jobs j where j.status = 'queued' and j.pool = ${pool} and j.org_id > w.org_id
              order by j.org_id limit 1)
      from waiting w where w.org_id is not null
    ), unanswered as (
      select count(*)::int as bells from jobs where status = 'pending' and pool = ${pool}
    ), capacity as (
      select coalesce(sum(slots), 0)::int as slots from workers
      where revoked_at is null and reported_at > ${since}
        and case when ${pool} = 'macos' then 'macos' = any (capabilities) else capabilities && '{android,web}' end
    ), busy as (
      select count(*)::int as builds from jobs where status = 'in_progress' and pool = ${pool}
    ), room as (
      select greatest(0, case when slots = 0 then ${limits.unknownCapacity}::int
        else greatest(0, slots - builds) + greatest(2, slots / 4) end - bells) as bells
      from unanswered, capacity, busy
    )
    select due.id as "jobId", due.build_id as "buildId", w.org_id as "orgId"
    from waiting w
    join organizations o on o.id = w.org_id
    cross join room
    cross join lateral (
      select count(*)::int as builds from jobs a
      where a.org_id = w.org_id and a.pool = ${pool} and a.status in ('pending', 'in_progress')
    ) active
    cross join lateral (
      select first.*, row_number() over (order by first.due_at, first.id) as place from (
        select j.id, j.build_id, j.due_at
        from jobs j where j.org_id = w.org_id and j.pool = ${pool} and j.status = 'queued'
        order by j.due_at
        limit greatest(0, least(room.bells, coalesce(o.max_concurrent_builds, ${limits.perOrganization}) - active.builds))
      ) first
    ) due
    order by active.builds + due.place, due.due_at, due.id
    limit (select bells from room)`)
  return [...rows]
}
