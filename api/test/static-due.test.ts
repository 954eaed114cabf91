import { newId, openDatabase, type OpenDatabase } from '@capstan/migrations'
import { createTestDatabase, type TestDatabase } from '@capstan/migrations/testing'
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { findDueApps, selectDueApps } from '../src/static-delivery/find-due-apps.js'

const MOST = 50
const APPS = 5_000
const HOUR = 3_600_000
const now = new Date()
const from = (ms: number) => new Date(now.getTime() + ms).toISOString()
const orgId = newId()

let database: TestDatabase
let owner: OpenDatabase
let control: OpenDatabase

beforeAll(async () => {
  database = await createTestDatabase()
  owner = openDatabase({ url: database.ownerUrl, poolSize: 1 })
  control = database.open('control')
  await owner.sql`insert into organizations (id, name) values (${orgId}, 'Fleet')`
  await owner.sql`
    insert into apps (id, org_id, name, type, static_delivery_enabled)
    select gen_random_uuid(), ${orgId}, 'App', 'capacitor', true from generate_series(1, ${APPS})`
  await owner.sql`update static_apps set changed_in = wanted_in, renew_at = ${from(12 * HOUR)}`
  await owner.sql`vacuum analyze`
})
afterAll(async () => {
  await owner[Symbol.asyncDispose]()
  await control[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

type Plan = {
  'Actual Rows': number
  'Actual Loops': number
  'Rows Removed by Filter'?: number
  Plans?: Plan[]
}

function rowsRead(plan: Plan): number {
  const own = (plan['Actual Rows'] + (plan['Rows Removed by Filter'] ?? 0)) * plan['Actual Loops']
  return own + (plan.Plans ?? []).reduce((sum, child) => sum + rowsRead(child), 0)
}

async function readByLook(): Promise<number> {
  const [row] = await control.db.execute<{ 'QUERY PLAN': [{ Plan: Plan }] }>(
    sql`explain (analyze, format json) ${selectDueApps(now, MOST)}`,
  )
  return rowsRead(row!['QUERY PLAN'][0].Plan)
}

const due = async () => (await findDueApps(control.db, now, MOST)).map(({ appId, isWanted }) => [appId, isWanted])

test('the look for apps that are due reads nothing of those that are not', async () => {
  expect(await due()).toEqual([])
  expect(await readByLook()).toBeLessThan(10)
})

test('apps that are due are found in their order, at a cost of their number', async () => {
  const [changed, switchedOff, old, older, failed, busy] = (
    await owner.sql<{ id: string }[]>`select id from apps order by id limit 6`
  ).map(({ id }) => id)
  await owner.sql`update apps set app_channel_discovery_enabled = not app_channel_discovery_enabled where id = ${changed!}`
  await owner.sql`update apps set static_delivery_enabled = false where id = ${switchedOff!}`
  await owner.sql`update static_apps set renew_at = ${from(-HOUR)} where app_id = ${old!}`
  await owner.sql`update static_apps set renew_at = ${from(-2 * HOUR)} where app_id = ${older!}`
  await owner.sql`
    update static_apps set changed_in = null, claimed_until = ${from(-1_000)} where app_id = ${failed!}`
  await owner.sql`
    update static_apps set changed_in = null, claimed_until = ${from(60_000)} where app_id = ${busy!}`
  expect(await due()).toEqual([
    [changed, true],
    [switchedOff, false],
    [older, true],
    [old, true],
    [failed, true],
  ])
  expect(await readByLook()).toBeLessThan(100)
})

test('with the end of an organization all of its apps are due', async () => {
  await owner.sql`update organizations set terminating_at = now() where id = ${orgId}`
  const found = await due()
  expect(found).toHaveLength(MOST)
  expect(found.every(([, isWanted]) => isWanted === false)).toBe(true)
})
