import { readFile } from 'node:fs/promises'
import { getTableColumns, getTableName, is, sql, Table } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import * as schema from '../src/schema/index.js'
import { newId } from '../src/ids.js'
import { withOrg } from '../src/with-org.js'
import { createTestDatabase, type TestDatabase } from '../src/testing/index.js'
import type { OpenDatabase, Transaction } from '../src/database.js'
import postgres from 'postgres'

let database: TestDatabase
let owner: postgres.Sql
let api: OpenDatabase

const ORG = '00000000-0000-7000-8000-000000000001'
const tables = Object.values(schema).filter((value) => is(value, Table))
const names = tables.map((table) => getTableName(table))

/** Rows that a role sees; a table it may not read at all shows none. */
async function rowsVisibleTo(database: OpenDatabase, name: string): Promise<number> {
  return database.sql.unsafe(`select 1 from ${name}`).then(
    (rows) => rows.length,
    (error: Error) => {
      expect(error.message).toMatch(/permission denied/)
      return 0
    },
  )
}

async function rowsVisibleIn(tx: Transaction, name: string): Promise<number> {
  return tx
    .transaction((inner) => inner.execute(sql.raw(`select 1 from ${name}`)))
    .then(
      (rows) => rows.length,
      (error: Error) => {
        expect(String(error.cause)).toMatch(/permission denied/)
        return 0
      },
    )
}

beforeAll(async () => {
  database = await createTestDatabase()
  owner = postgres(database.ownerUrl, { max: 2, onnotice: () => {} })
  api = database.open('api')
  await owner.unsafe(await readFile(new URL('one-row-per-table.sql', import.meta.url), 'utf8'))
})
afterAll(async () => {
  await owner.end()
  await api[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

describe('every table', () => {
  test('of the database stands in the drizzle schema, with the same columns', async () => {
    const rows = await owner<{ table: string; column: string; nullable: boolean }[]>`
      select table_name as table, column_name as column, is_nullable = 'YES' as nullable
      from information_schema.columns where table_schema = 'public' and table_name <> 'schema_migrations'`
    const actual = rows.map((row) => `${row.table}.${row.column}${row.nullable ? '?' : ''}`).sort()
    const declared = tables
      .flatMap((table) =>
        Object.values(getTableColumns(table)).map(
          (column) => `${getTableName(table)}.${column.name}${column.notNull || column.primary ? '' : '?'}`,
        ),
      )
      .sort()
    expect(actual).toEqual(declared)
  })

  test('has row-level security enabled and forced', async () => {
    const rows = await owner<{ name: string; secured: boolean }[]>`
      select relname as name, relrowsecurity and relforcerowsecurity as secured from pg_class
      where relkind = 'r' and relnamespace = 'public'::regnamespace and relname <> 'schema_migrations'`
    expect(rows.filter((row) => !row.secured)).toEqual([])
    expect(rows.length).toBe(tables.length)
  })

  test('with an organization has a policy for it that checks reads and writes', async () => {
    const rows = await owner<{ name: string }[]>`
      select c.table_name as name from information_schema.columns c
      where c.table_schema = 'public' and c.column_name = 'org_id' and not exists (
        select 1 from pg_policies p where p.tablename = c.table_name and p.cmd = 'ALL'
          and p.qual like '%org_id = app_org()%' and p.with_check like '%org_id = app_org()%')`
    expect(rows).toEqual([])
  })
})

describe('the API role', () => {
  test('owns nothing, bypasses nothing and cannot change the schema', async () => {
    const [role] = await owner`select rolsuper, rolbypassrls, rolcreatedb from pg_roles where rolname = 'capstan_api'`
    expect(role).toEqual({ rolsuper: false, rolbypassrls: false, rolcreatedb: false })
    await expect(api.sql`create table sneaky (id int)`).rejects.toThrow(/permission denied/)
  })

  test.each(names)('sees no row of %s outside a door, nor through the door of another organization', async (name) => {
    expect(await owner.unsafe(`select 1 from ${name}`)).not.toHaveLength(0)
    expect(await rowsVisibleTo(api, name)).toBe(0)
    expect(await withOrg(api.db, newId(), (tx) => rowsVisibleIn(tx, name))).toBe(0)
  })

  test('sees every row of its organization through the door', async () => {
    const seen = await Promise.all(
      names.map(async (name) => [name, await withOrg(api.db, ORG, (tx) => rowsVisibleIn(tx, name))] as const),
    )
    const hidden = seen.filter(([, rows]) => rows === 0).map(([name]) => name)
    // People's own rows, the workers, and what the broker or the control process alone may read.
    const ofPeople = [
      'device_codes',
      'email_changes',
      'passkeys',
      'password_resets',
      'recovery_codes',
      'sessions',
      'sign_in_flows',
      'spent_values',
      'user_passwords',
      'user_totp',
    ]
    const ofProcesses = ['credential_opens', 'discarded_objects', 'mails', 'secret_opens', 'static_objects', 'workers']
    const ofOperators = ['incident_steps', 'incidents', 'operators']
    expect(hidden.sort()).toEqual([...ofPeople, ...ofProcesses, ...ofOperators].sort())
  })

  test('cannot read, change, delete or plant rows of another organization', async () => {
    const [mine, theirs] = [newId(), newId()]
    for (const id of [mine, theirs]) {
      await withOrg(api.db, id, async (tx) => {
        await tx.insert(schema.organizations).values({ id, name: 'x' })
        await tx.insert(schema.apps).values({ id: newId(), orgId: id, name: 'app', type: 'android' })
      })
    }
    await withOrg(api.db, mine, async (tx) => {
      expect((await tx.select().from(schema.apps)).map((app) => app.orgId)).toEqual([mine])
      expect(await tx.update(schema.apps).set({ name: 'taken' }).returning()).toHaveLength(1)
    })
    await withOrg(api.db, theirs, async (tx) => {
      const [app] = await tx.select().from(schema.apps)
      expect(app).toMatchObject({ orgId: theirs, name: 'app' })
    })
    const planted = withOrg(api.db, mine, (tx) =>
      tx.insert(schema.apps).values({ id: newId(), orgId: theirs, name: 'planted', type: 'ios' }),
    )
    await expect(planted).rejects.toMatchObject({ cause: { message: expect.stringContaining('row-level security') } })
  })

  test('can append to the audit chain but not rewrite it', async () => {
    const id = newId()
    const event = { orgId: id, seq: 1, event: '{}', hash: 'a'.repeat(64), action: 'x', createdAt: new Date() }
    await withOrg(api.db, id, async (tx) => {
      await tx.insert(schema.organizations).values({ id, name: 'x' })
      await tx.insert(schema.auditEvents).values(event)
    })
    for (const statement of ['update audit_events set event = $1', 'delete from audit_events where event <> $1']) {
      await expect(api.sql.unsafe(statement, ['{"v":2}'])).rejects.toThrow(/permission denied/)
      await expect(owner.unsafe(statement, ['{"v":2}'])).rejects.toThrow(/append-only/)
    }
    await expect(owner`truncate audit_events cascade`).rejects.toThrow(/append-only/)
  })
})

describe('the control role', () => {
  test('finds due work of every organization and nothing else', async () => {
    const control = database.open('control')
    const seen = await Promise.all(names.map(async (name) => ((await rowsVisibleTo(control, name)) > 0 ? [name] : [])))
    const due = [
      'access_reviews',
      'app_webhook_deliveries',
      'app_webhooks',
      'apps',
      'artifacts',
      'audit_checkpoints',
      'bundle_patches',
      'change_requests',
      'checkpoint_webhooks',
      'credential_versions',
      'dependency_caches',
      'discarded_objects',
      'job_log_objects',
      'jobs',
      'leases',
      'mails',
      'organizations',
      'static_apps',
    ]
    const expiring = [
      'device_codes',
      'email_changes',
      'invitations',
      'password_resets',
      'sessions',
      'sign_in_flows',
      'spent_values',
    ]
    expect(seen.flat().sort()).toEqual([...due, ...expiring, 'outbox', 'rollouts', 'uploads', 'workers'].sort())
    await expect(control.sql`select token_hash from sessions`).rejects.toThrow(/permission denied/)
    await expect(control.sql`select envelope from credential_versions`).rejects.toThrow(/permission denied/)
    await control[Symbol.asyncDispose]()
  })
})

describe('the broker role', () => {
  test('reads credentials but cannot write them, and sees no builds outside a door', async () => {
    const broker = database.open('broker')
    expect(await broker.sql`select 1 from credentials`).toHaveLength(0)
    await expect(broker.sql`delete from credential_versions`).rejects.toThrow(/permission denied/)
    await expect(broker.sql`select 1 from api_tokens`).rejects.toThrow(/permission denied/)
    await broker[Symbol.asyncDispose]()
  })
})
