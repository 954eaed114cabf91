import { apps, openDatabase, type OpenDatabase, withOrg } from '@capstan/migrations'
import { type AuditVerdict, verifyAuditExport } from '@capstan/sdk/audit'
import { createApp as createServer } from '../../src/app.js'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startTcpProxy } from '../tcp-proxy.js'
import { createFixture, type Fixture, type TestOrganization } from '../fixture.js'

const EVENTS = 6
let fixture: Fixture
/** A superuser, whom no policy and no trigger stops. */
let superuser: OpenDatabase

beforeAll(async () => {
  fixture = await createFixture()
  superuser = openDatabase({ url: fixture.ownerUrl, poolSize: 1 })
})
afterAll(async () => {
  await superuser[Symbol.asyncDispose]()
  await fixture[Symbol.asyncDispose]()
})

const createApp = (org: TestOrganization, name: string) =>
  fixture.request('POST', `/v1/apps?organizationId=${org.id}`, { token: org.tokens.owner, body: { name } })

async function organizationWithLog(): Promise<TestOrganization> {
  const org = await fixture.createOrganization()
  for (let index = 0; index < EVENTS; index += 1) expect((await createApp(org, `app ${index}`)).status).toBe(201)
  return org
}

async function exported(org: TestOrganization): Promise<Buffer> {
  const path = `/v1/organizations/${org.id}/audit-events/export`
  return Buffer.from(await (await fixture.request('GET', path, { token: org.tokens.owner })).text())
}

async function head(org: TestOrganization): Promise<{ size: number; hash: string }> {
  const [row] = await superuser.sql`select seq, hash from audit_heads where org_id = ${org.id}`
  return { size: Number(row?.seq), hash: String(row?.hash) }
}

async function verify(org: TestOrganization, noted: { size: number; hash: string }): Promise<AuditVerdict> {
  const bytes = await exported(org)
  const source = (async function* () {
    yield bytes
  })()
  return verifyAuditExport(source, { org: org.id, head: noted, minimumSize: noted.size })
}

async function unguarded(change: (sql: OpenDatabase['sql']) => Promise<unknown>): Promise<void> {
  await superuser.sql`set session_replication_role = replica`
  try {
    await change(superuser.sql)
  } finally {
    await superuser.sql`set session_replication_role = origin`
  }
}

test('the log as it was written is accepted', async () => {
  const org = await organizationWithLog()
  expect(await verify(org, await head(org))).toMatchObject({ ok: true, size: EVENTS })
})

type Change = (sql: OpenDatabase['sql'], org: string, other: string) => Promise<unknown>
const changes: [string, number, Change][] = [
  [
    'an edited event',
    3,
    (sql, org) => sql`update audit_events set event = replace(event, 'success', 'refused')
    where org_id = ${org} and seq = 3`,
  ],
  [
    'an edited hash',
    3,
    (sql, org) => sql`update audit_events set hash = ${'a'.repeat(64)} where org_id = ${org} and seq = 3`,
  ],
  [
    'an event that is missing in the middle',
    3,
    (sql, org) => sql`delete from audit_events where org_id = ${org} and seq = 3`,
  ],
  ['a missing end', 6, (sql, org) => sql`delete from audit_events where org_id = ${org} and seq = 6`],
  [
    'an event that was put in',
    4,
    (sql, org) =>
      sql.unsafe(`
    update audit_events set seq = seq + 1000 where org_id = '${org}' and seq > 3;
    insert into audit_events select org_id, 4, event, hash, action, created_at from audit_events where org_id = '${org}' and seq = 3;
    update audit_events set seq = seq - 999 where org_id = '${org}' and seq > 1000`),
  ],
  [
    'two events in each other’s place',
    2,
    (sql, org) =>
      sql.unsafe(`
    update audit_events set seq = 1000 where org_id = '${org}' and seq = 2;
    update audit_events set seq = 2 where org_id = '${org}' and seq = 3;
    update audit_events set seq = 3 where org_id = '${org}' and seq = 1000`),
  ],
  [
    'an event of another organization',
    2,
    (sql, org, other) => sql`update audit_events a set event = b.event, hash = b.hash
    from audit_events b where a.org_id = ${org} and a.seq = 2 and b.org_id = ${other} and b.seq = 2`,
  ],
]

test.each(changes)('%s in the database is found by the offline verifier', async (_what, seq, change) => {
  const [org, other] = [await organizationWithLog(), await organizationWithLog()]
  const noted = await head(org)
  await unguarded((sql) => change(sql, org.id, other.id))
  const verdict = await verify(org, noted)
  expect(verdict).toMatchObject({ ok: false })
  if (!verdict.ok) expect(verdict.seq).toBe(seq)
})

test('a connection that dies between change and event leaves neither', async () => {
  const org = await organizationWithLog()
  const target = new URL(fixture.databaseUrl('api'))
  await using line = await startTcpProxy({ host: target.hostname, port: Number(target.port) })
  const near = new URL(target)
  near.port = String(line.port)
  await using database = openDatabase({ url: near.href, poolSize: 2 })
  const app = createServer({ ...fixture.deps, db: database.db })
  const create = (name: string) =>
    app.request(`/v1/apps?organizationId=${org.id}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${org.tokens.owner}`, 'content-type': 'application/json' },
      body: JSON.stringify({ name }),
    })
  const count = () => withOrg(fixture.deps.db, org.id, (tx) => tx.$count(apps))
  const waiting = async () => {
    const [row] = await superuser.sql`select count(*)::int as n from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock'`
    return Number(row?.n)
  }
  // The app is written; its event waits for the head of the log, which somebody else holds.
  await using holder = openDatabase({ url: fixture.ownerUrl, poolSize: 1 })
  let answer: Promise<Response> | undefined
  await holder.sql.begin(async (sql) => {
    await sql`select 1 from audit_heads where org_id = ${org.id} for update`
    answer = Promise.resolve(create('unrecorded'))
    await expect.poll(waiting).toBe(1)
    await line.cut()
    const refused = await answer
    const { code } = (await refused.json()) as { code: string }
    expect([refused.status, code]).toEqual([503, 'dependency-unavailable'])
  })
  expect([await count(), (await head(org)).size]).toEqual([EVENTS, EVENTS])
  await line.mend()
  await expect.poll(async () => (await create('recorded')).status).toBe(201)
  expect([await count(), (await head(org)).size]).toEqual([EVENTS + 1, EVENTS + 1])
})
