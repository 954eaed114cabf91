import { afterAll, beforeAll, expect, test } from 'vitest'
import postgres from 'postgres'
import { migrate } from '../src/migrate.js'
import { createTestDatabase, type TestDatabase } from '../src/testing/index.js'

let database: TestDatabase
let owner: postgres.Sql

beforeAll(async () => {
  database = await createTestDatabase()
  owner = postgres(database.ownerUrl, { max: 1, onnotice: () => {} })
})
afterAll(async () => {
  await owner.end()
  await database[Symbol.asyncDispose]()
})

test('a second run changes nothing', async () => {
  expect(await migrate({ url: database.ownerUrl })).toEqual({ applied: [] })
})

test('two runs at once apply every migration once', async () => {
  const name = `twice_${Date.now()}`
  await owner.unsafe(`create database ${name}`)
  const url = new URL(database.ownerUrl)
  url.pathname = `/${name}`
  try {
    const runs = await Promise.all([migrate({ url: url.href }), migrate({ url: url.href })])
    const applied = runs.flatMap((run) => run.applied)
    expect(applied.length).toBeGreaterThan(0)
    expect(new Set(applied).size).toBe(applied.length)
  } finally {
    await owner.unsafe(`drop database ${name} with (force)`)
  }
})

test('a migration that was edited after it had been applied is refused', async () => {
  await owner`update schema_migrations set sha256 = 'other' where name like '0001%'`
  await expect(migrate({ url: database.ownerUrl })).rejects.toThrow(/was changed after it had been applied/)
})

test('a database that a newer version has brought forward is refused', async () => {
  await using newer = await createTestDatabase()
  const sql = postgres(newer.ownerUrl, { max: 1 })
  await sql`insert into schema_migrations (name, sha256) values ('9999_from_the_future.sql', 'x')`
  await sql.end()
  await expect(migrate({ url: newer.ownerUrl })).rejects.toThrow(
    /9999_from_the_future.sql was applied by a newer version/,
  )
})
