import { apps, withOrg } from '@capstan/migrations'
import { sql, type SQL } from 'drizzle-orm'
import type { ControlDeps } from './control-deps.js'

const DAY_MS = 24 * 60 * 60_000
const ROWS_AT_ONCE = 5_000
const ROUNDS = 20

/** How long what devices reported is kept, in days. Single devices go long before the sums. */
const kept = [
  { table: 'launch_results', since: 'created_at', days: 90 },
  { table: 'device_tokens', since: 'last_used_at', days: 180 },
  { table: 'launch_counts', since: 'bucket', days: 400 },
  { table: 'app_activity', since: 'bucket', days: 400 },
] as const

/** Deletes what is older than its time, a few thousand rows in one transaction. What is left comes with the next pass. */
export async function sweepTelemetry(deps: ControlDeps): Promise<number> {
  const organizations = await deps.db.selectDistinct({ orgId: apps.orgId }).from(apps)
  let deleted = 0
  for (const { orgId } of organizations) {
    for (const { table, since, days } of kept) {
      const before = new Date(deps.now().getTime() - days * DAY_MS).toISOString()
      const statement = sql`delete from ${sql.identifier(table)} where ctid = any (array(
        select ctid from ${sql.identifier(table)}
        where org_id = app_org() and ${sql.identifier(since)} < ${before}::timestamptz limit ${ROWS_AT_ONCE}))`
      deleted += await deleteInRounds(deps, orgId, statement)
    }
  }
  return deleted
}

async function deleteInRounds(deps: ControlDeps, orgId: string, statement: SQL): Promise<number> {
  let deleted = 0
  for (let round = 0; round < ROUNDS; round += 1) {
    const { count } = await withOrg(deps.db, orgId, (tx) => tx.execute(statement))
    deleted += count
    if (count < ROWS_AT_ONCE) break
  }
  return deleted
}
