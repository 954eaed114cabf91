import { type Database, withCheckIns } from '@capstan/migrations'
import { sql } from 'drizzle-orm'
import { admitNewDevice } from './admit-new-device.js'
import type { CheckIn } from './check-ins.js'

/** The columns that a check-in sets; a forced channel is ours and stays. */
const facts = sql.raw(`platform, os_version, app_version_code, app_version_name, plugin_version, custom_id,
  app_channel_id, app_deployment_id, bundle_id, last_seen_at`)
const said = sql.raw(`platform int, os_version text, app_version_code text, app_version_name text, plugin_version text,
  custom_id text, app_channel_id uuid, app_deployment_id uuid, bundle_id uuid, last_seen_at timestamptz`)

/**
 * Writes a batch: devices that are known in one statement, those that may be added in another. A device that another
 * process heard of later keeps what it said there.
 */
export async function writeCheckIns(db: Database, batch: readonly CheckIn[]): Promise<void> {
  await withCheckIns(db, async (tx) => {
    const known = await tx.execute<{ app_id: string; id: string }>(sql`
      with said as (select * from jsonb_to_recordset(${toJson(batch)}::text::jsonb) as s (app_id uuid, id text, ${said})),
      there as (
        select d.app_id, d.id from devices d join said s on s.app_id = d.app_id and s.id = d.id
        order by d.app_id, d.id for update of d
      ),
      changed as (
        update devices d set (${facts}) = (select s.platform, s.os_version, s.app_version_code, s.app_version_name,
          s.plugin_version, s.custom_id, s.app_channel_id, s.app_deployment_id, s.bundle_id, s.last_seen_at)
        from said s, there t
        where d.app_id = t.app_id and d.id = t.id and s.app_id = d.app_id and s.id = d.id
          and d.last_seen_at <= s.last_seen_at
      )
      select app_id, id from there`)
    const names = new Set([...known].map((row) => `${row.app_id}/${row.id}`))
    const added = batch.filter(
      (checkIn) => !names.has(`${checkIn.appId}/${checkIn.deviceId}`) && admitNewDevice(checkIn),
    )
    if (added.length === 0) return
    // The app may have been deleted since.
    await tx.execute(sql`
      insert into devices (org_id, app_id, id, ${facts})
      select s.org_id, s.app_id, s.id, ${facts}
      from jsonb_to_recordset(${toJson(added)}::text::jsonb) as s (org_id uuid, app_id uuid, id text, ${said})
      where exists (select from apps a where a.id = s.app_id and a.org_id = s.org_id)
      on conflict (app_id, id) do nothing`)
  })
}

function toJson(batch: readonly CheckIn[]): string {
  return JSON.stringify(
    batch.map((one) => ({
      org_id: one.orgId,
      app_id: one.appId,
      id: one.deviceId,
      platform: one.platform,
      os_version: one.osVersion,
      app_version_code: one.appVersionCode,
      app_version_name: one.appVersionName,
      plugin_version: one.pluginVersion,
      custom_id: one.customId,
      app_channel_id: one.appChannelId,
      app_deployment_id: one.appDeploymentId,
      bundle_id: one.bundleId,
      last_seen_at: new Date(one.lastSeenAt).toISOString(),
    })),
  )
}
