import { newId, withOrg } from '@capstan/migrations'
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type CheckForUpdate, decide } from '../src/updates/decide.js'
import { createFixture, type Fixture } from './fixture.js'

const STATES = 100
const DEVICES = 1_000
const NOW = new Date('2026-06-01T00:00:00Z')

let fixture: Fixture
let orgId: string

beforeAll(async () => {
  fixture = await createFixture({ overrides: { now: () => NOW } })
  orgId = (await fixture.createOrganization()).id
})
afterAll(() => fixture[Symbol.asyncDispose]())

/** The same numbers in every run. */
function createRandom(seed: number) {
  let state = seed
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (count: number) => Math.floor(next() * count)
  return { next, below, pick: <T>(values: readonly T[]): T => values[below(values.length)] as T }
}

type Random = ReturnType<typeof createRandom>
type World = { appId: string; channels: { id: string; name: string }[]; bundles: string[]; deployments: string[][] }

const run = (query: ReturnType<typeof sql>) => withOrg(fixture.deps.db, orgId, (tx) => tx.execute(query))

async function createWorld(): Promise<World> {
  const world: World = { appId: newId(), channels: [], bundles: [], deployments: [] }
  await run(sql`insert into apps (id, org_id, name, type) values (${world.appId}, ${orgId}, 'Oracle', 'capacitor')`)
  for (const name of ['production', 'beta', 'über+1']) {
    const id = newId()
    world.channels.push({ id, name })
    world.deployments.push([])
    await run(sql`insert into channels (id, org_id, app_id, name) values (${id}, ${orgId}, ${world.appId}, ${name})`)
  }
  for (let number = 1; number <= 12; number += 1) await addBundle(world, number)
  for (let index = 0; index < 40; index += 1) {
    await run(sql`insert into devices (org_id, app_id, id, platform)
      values (${orgId}, ${world.appId}, ${`device-${index}`}, 0)`)
  }
  return world
}

async function addBundle(world: World, number: number): Promise<void> {
  const [buildId, bundleId] = [newId(), newId()]
  world.bundles.push(bundleId)
  await run(sql`insert into builds (id, org_id, app_id, number, platform)
    values (${buildId}, ${orgId}, ${world.appId}, ${number}, 'web')`)
  await run(sql`insert into bundles (id, org_id, app_id, build_id, artifact_type, status)
    values (${bundleId}, ${orgId}, ${world.appId}, ${buildId}, ${number % 3 ? 'zip' : 'manifest'}, 'ready')`)
}

const constraints = (random: Random) => {
  const chosen: Record<string, string> = {}
  for (const bound of ['min', 'max', 'eq']) {
    for (const platform of ['Android', 'Ios']) {
      if (random.next() < 0.15) chosen[`${bound}${platform}AppVersionCode`] = String(random.below(20))
    }
  }
  return JSON.stringify(chosen)
}

/** One change of what is published, as straight SQL: only the triggers say that it happened. */
async function change(world: World, random: Random): Promise<void> {
  const at = random.below(world.channels.length)
  const channel = world.channels[at]!
  const share = random.pick([0, 0.1, 0.5, 0.9, 1])
  const bundleId = random.pick(world.bundles)
  const deploymentId = newId()
  const changes = [
    async () => {
      await run(sql`insert into deployments (id, org_id, app_id, app_build_id, app_channel_id, bundle_id, rollout_percentage)
        select ${deploymentId}, ${orgId}, ${world.appId}, build_id, ${channel.id}, id, ${share} from bundles where id = ${bundleId}`)
      await run(sql`update channels set app_deployment_id = ${deploymentId} where id = ${channel.id}`)
      world.deployments[at]!.push(deploymentId)
    },
    () =>
      run(sql`update deployments set rollout_percentage = ${share}
      where id = (select app_deployment_id from channels where id = ${channel.id})`),
    () =>
      run(
        sql`update channels set app_deployment_id = (select id from deployments where id = ${random.pick(world.deployments[at]!) ?? null}::uuid) where id = ${channel.id}`,
      ),
    () => run(sql`update channels set paused_at = case when paused_at is null then now() end where id = ${channel.id}`),
    () =>
      run(
        sql`update channels set expires_at = ${random.pick([null, '2026-05-31', '2026-06-02'])}::timestamptz where id = ${channel.id}`,
      ),
    () => run(sql`update bundles set status = ${random.pick(['ready', 'ready', 'pending'])} where id = ${bundleId}`),
    () =>
      run(sql`update builds set constraints = ${constraints(random)}::jsonb
      where id = (select build_id from bundles where id = ${bundleId})`),
    () => run(sql`update apps set app_channel_id = ${random.pick([null, channel.id])} where id = ${world.appId}`),
    () =>
      run(sql`update devices set forced_app_channel_id = ${random.pick([null, channel.id])}
      where app_id = ${world.appId} and id = ${`device-${random.below(40)}`}`),
    () => run(sql`delete from deployments where id = ${random.pick(world.deployments[at]!) ?? null}`),
    () =>
      run(sql`insert into bundle_copy_hazards (org_id, app_id, from_bundle_id, to_bundle_id, href)
      select ${orgId}, ${world.appId}, ${random.pick(world.bundles)}, id, 'x' from bundles
      where id = ${bundleId} and artifact_type = 'manifest' on conflict do nothing`),
  ]
  await random.pick([changes[0]!, changes[0]!, ...changes])()
}

function invent(world: World, random: Random, count: number): CheckForUpdate[] {
  return Array.from({ length: count }, () => ({
    appId: world.appId,
    deviceId: random.pick([null, `device-${random.below(60)}`, `other-${random.below(1_000_000)}`]),
    platform: random.below(4),
    osVersion: null,
    appVersionCode: random.pick([null, 'beta', String(random.below(20))]),
    appVersionName: null,
    pluginVersion: null,
    customId: null,
    bundleId: random.pick([null, random.pick(world.bundles), newId()]),
    channelNames: random.pick([[], ['nowhere'], ...world.channels.map(({ name }) => [name])]),
  }))
}

/** What each device should get, worked out by Postgres from the tables alone, slowly and in another way. */
async function askOracle(world: World, devices: readonly CheckForUpdate[]): Promise<(string | null)[]> {
  const asked = devices.map((device, n) => ({
    n,
    id: device.deviceId ?? '',
    channel: device.channelNames[0] ?? null,
    prefix: ['Android', 'Ios'][device.platform] ?? null,
    code: /^\d+$/.test(device.appVersionCode ?? '') ? Number(device.appVersionCode) : null,
    runs: device.bundleId,
  }))
  const rows = await run(sql`
    with asked as (select * from jsonb_to_recordset(${JSON.stringify(asked)}::text::jsonb)
      as a (n int, id text, channel text, prefix text, code int, runs uuid)),
    placed as (
      select asked.*, c.id as channel_id, c.app_deployment_id from asked
      join apps on apps.id = ${world.appId}
      left join devices on devices.app_id = apps.id and devices.id = asked.id
      join channels c on c.app_id = apps.id and c.id = coalesce(devices.forced_app_channel_id,
        case when asked.channel is null then apps.app_channel_id
          else (select id from channels named where named.app_id = apps.id and named.name = asked.channel) end)
      where c.paused_at is null and (c.expires_at is null or c.expires_at > ${NOW.toISOString()}::timestamptz)
    ),
    reached as (
      select distinct on (placed.n) placed.n, placed.prefix, placed.code, placed.runs, d.bundle_id, u.constraints
      from placed join deployments d on d.app_channel_id = placed.channel_id and d.id <= placed.app_deployment_id
      join bundles b on b.id = d.bundle_id and b.status = 'ready' join builds u on u.id = d.app_build_id
      where ('x' || encode(substring(sha256(convert_to(d.id || ':' || placed.id, 'UTF8')) for 6), 'hex'))::bit(48)::bigint
        / 281474976710656.0::float8 < d.rollout_percentage
      order by placed.n, d.id desc
    ),
    limits as (
      select reached.*, (constraints ->> ('min' || prefix || 'AppVersionCode'))::int as low,
        (constraints ->> ('max' || prefix || 'AppVersionCode'))::int as high,
        (constraints ->> ('eq' || prefix || 'AppVersionCode'))::int as never
      from reached
    )
    select n, bundle_id from limits
    where (num_nonnulls(low, high, never) = 0
        or code is not null and code >= coalesce(low, code) and code <= coalesce(high, code) and code is distinct from never)
      and not exists (select from bundle_copy_hazards h where h.to_bundle_id = bundle_id and h.from_bundle_id = runs)`)
  const answers: (string | null)[] = devices.map(() => null)
  for (const row of rows as unknown as { n: number; bundle_id: string }[]) answers[row.n] = row.bundle_id
  return answers
}

test('the index answers as the tables do, for 100,000 random devices in 100 random states', async () => {
  const random = createRandom(20260601)
  let world = await createWorld()
  let offered = 0
  for (let state = 0; state < STATES; state += 1) {
    if (state % 25 === 24) world = await createWorld()
    for (let step = state % 25 === 0 ? 12 : 3; step > 0; step -= 1) await change(world, random)
    await fixture.deps.published.refresh()
    const app = fixture.deps.published.find(world.appId)!
    const devices = invent(world, random, DEVICES)
    const expected = await askOracle(world, devices)
    const found = devices.map((device) => {
      const decision = decide(app, device, NOW.getTime())
      return 'offer' in decision ? decision.offer.bundle.id : null
    })
    for (const [index, bundleId] of found.entries()) {
      if (bundleId !== expected[index])
        expect({ state, device: devices[index], bundleId }).toEqual({ bundleId: expected[index] })
      if (bundleId !== null) offered += 1
    }
  }
  // Not a test of nothing: a good part of them got something.
  expect(offered).toBeGreaterThan((STATES * DEVICES) / 10)
})
