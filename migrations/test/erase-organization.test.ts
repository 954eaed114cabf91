import { readFile } from 'node:fs/promises'

import { sql } from 'drizzle-orm'
import postgres from 'postgres'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { type OpenDatabase, withOrg } from '../src/index.js'
import { createTestDatabase, type TestDatabase } from '../src/testing/index.js'

const ORG = '00000000-0000-7000-8000-000000000001'
const OTHER = '00000000-0000-7000-8000-0000000000ff'
const KEPT = /^(audit_.*|deletion_certificates|app_changes)$/

let database: TestDatabase
let owner: postgres.Sql
let control: OpenDatabase

beforeAll(async () => {
  database = await createTestDatabase()
  owner = postgres(database.ownerUrl, { max: 1, onnotice: () => {} })
  control = database.open('control')
  await owner.unsafe(await readFile(new URL('one-row-per-table.sql', import.meta.url), 'utf8'))
  await owner`insert into organizations (id, name) values (${OTHER}, 'Other')`
  await owner`insert into apps (id, org_id, name, type) values (gen_random_uuid(), ${OTHER}, 'x', 'ios')`
})
afterAll(async () => {
  await owner.end()
  await control[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

const erase = (batch = 5000) =>
  withOrg(control.db, ORG, (tx) =>
    tx.execute<{ erased: string }>(sql`select erase_organization_rows(${batch}) as erased`),
  )

async function filledTables(org: string): Promise<string[]> {
  const tables = await owner<{ name: string }[]>`
    select table_name as name from information_schema.columns
    where table_schema = 'public' and column_name = 'org_id' order by 1`
  const filled: string[] = []
  for (const { name } of tables) {
    const rows = await owner.unsafe(`select 1 from ${name} where org_id = '${org}' limit 1`)
    if (rows.length > 0) filled.push(name)
  }
  return filled
}

test('an organization that lives, or whose keys are not certified as destroyed, is not erased', async () => {
  await expect(erase()).rejects.toThrow()
  await owner`update organizations set terminating_at = now() where id = ${ORG}`
  await owner`delete from deletion_certificates where org_id = ${ORG}`
  await expect(erase()).rejects.toThrow()
  expect((await filledTables(ORG)).length).toBeGreaterThan(20)
})

test('nobody else may call it', async () => {
  for (const role of ['api', 'broker'] as const) {
    await using opened = database.open(role)
    await expect(
      withOrg(opened.db, ORG, (tx) => tx.execute(sql`select erase_organization_rows(1)`)),
    ).rejects.toMatchObject({ cause: { message: expect.stringMatching(/permission denied/) as string } })
  }
})

test('every table is emptied of it, in batches; the audit chain, the certificates and the others stay', async () => {
  await owner`insert into deletion_certificates (id, org_id, subject_kind, subject_id, document)
    values (gen_random_uuid(), ${ORG}, 'organization', ${ORG}, '{}')`
  const [before, others] = [await filledTables(ORG), await filledTables(OTHER)]
  expect(others).toContain('apps')
  let passes = 0
  for (; passes < 500; passes += 1) if (Number((await erase(1))[0]?.erased) === 0) break
  expect(passes).toBeGreaterThan(5)
  expect(passes).toBeLessThan(500)
  expect(await filledTables(ORG)).toEqual(before.filter((name) => KEPT.test(name)))
  expect(await filledTables(OTHER)).toEqual(others)
})

test('nobody joins an organization that is being terminated', async () => {
  await owner`insert into users (id, email) values (gen_random_uuid(), 'late@example.test')`
  const join = (org: string) =>
    owner`insert into memberships (org_id, user_id, role) select ${org}, id, 'owner' from users limit 1`
  await expect(join(ORG)).rejects.toThrow(/is being terminated/)
  await expect(join(OTHER)).resolves.toBeDefined()
})
