import type { TestDatabase } from '@capstan/migrations/testing'
import { newId, openDatabase } from '@capstan/migrations'

export type Filled = { orgId: string; apps: string[]; answer: string }

/** Apps with a channel each, bundles with a deployment each, and devices, by the database itself. */
export async function fillPublished(
  database: TestDatabase,
  sizes: { apps: number; bundles: number; devices: number },
): Promise<Filled> {
  await using owner = openDatabase({ url: database.ownerUrl, poolSize: 1 })
  const { sql } = owner
  const orgId = newId()
  const perApp = sizes.bundles / sizes.apps
  await sql.begin(async (tx) => {
    // Straight into the tables: no triggers, no foreign keys.
    await tx`set local session_replication_role = replica`
    await tx`insert into organizations (id, name) values (${orgId}, 'Bench')`
    await tx.unsafe(`
      create temporary table made_apps on commit drop as
        select n, gen_random_uuid() as id, gen_random_uuid() as channel from generate_series(1, ${sizes.apps}) n;
      create temporary table made on commit drop as
        select a.id as app, a.channel, k, gen_random_uuid() as build, gen_random_uuid() as bundle,
          ('01900000-0000-7000-8000-' || lpad(to_hex(k::bigint * 100000000 + a.n), 12, '0'))::uuid as deployment
        from made_apps a, generate_series(1, ${perApp}) k;
      insert into apps (id, org_id, name, type) select id, '${orgId}', 'App', 'capacitor' from made_apps;
      insert into channels (id, org_id, app_id, name, app_deployment_id)
        select m.channel, '${orgId}', m.app, 'production', m.deployment from made m where k = ${perApp};
      insert into builds (id, org_id, app_id, number, platform) select build, '${orgId}', app, k, 'web' from made;
      insert into bundles (id, org_id, app_id, build_id, artifact_type, status, checksum, signature)
        select bundle, '${orgId}', app, build, 'zip', 'ready', repeat('a', 64), repeat('b', 344) from made;
      insert into deployments (id, org_id, app_id, app_build_id, app_channel_id, bundle_id, rollout_percentage)
        select deployment, '${orgId}', app, build, channel, bundle, 1 from made;
      insert into devices (org_id, app_id, id, platform, app_version_code, bundle_id)
        select '${orgId}', a.id, 'device-' || d, 0, '10', null
        from made_apps a, generate_series(1, ${sizes.devices / sizes.apps}) d;`)
  })
  await sql`analyze`
  const apps = (await sql<{ id: string }[]>`select id from apps order by id`).map(({ id }) => id)
  const [row] = await sql<{ bundle_id: string }[]>`
    select d.bundle_id from channels c join deployments d on d.id = c.app_deployment_id where c.app_id = ${apps[0] ?? ''}`
  const bundleId = row?.bundle_id ?? ''
  const answer = JSON.stringify({
    artifactType: 'zip',
    bundleId,
    channelName: 'production',
    checksum: 'a'.repeat(64),
    signature: 'b'.repeat(344),
    customProperties: {},
    url: `http://capstan.test/v1/apps/${apps[0]}/bundles/${bundleId}/download`,
  })
  return { orgId, apps, answer }
}
