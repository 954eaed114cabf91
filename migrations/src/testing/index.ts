import { createHash, randomBytes } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import postgres from 'postgres'
import { migrate } from '../migrate.js'
import { openDatabase, type OpenDatabase } from '../database.js'

const rolePasswords = { api: 'test-api', control: 'test-control', broker: 'test-broker' }

export type TestDatabase = {
  /** URL of the superuser for this database. */
  ownerUrl: string
  url(role: keyof typeof rolePasswords): string
  open(role: keyof typeof rolePasswords): OpenDatabase
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * A database of its own for one test file, copied from a template that holds the newest schema. Needs
 * `TEST_DATABASE_URL`, the URL of a superuser on a throw-away server; `npm test` starts one.
 */
export async function createTestDatabase(): Promise<TestDatabase> {
  const serverUrl = process.env.TEST_DATABASE_URL
  if (!serverUrl) throw new Error('TEST_DATABASE_URL is not set: run the tests with `npm test`.')
  const template = await ensureTemplate(serverUrl)
  const name = `test_${randomBytes(8).toString('hex')}`
  await onServer(serverUrl, (sql) => sql.unsafe(`create database ${name} template ${template}`))
  const url = (role?: keyof typeof rolePasswords) => databaseUrl(serverUrl, name, role)
  return {
    ownerUrl: url(),
    url,
    open: (role) => openDatabase({ url: url(role), poolSize: 8 }),
    [Symbol.asyncDispose]: async () => {
      await onServer(serverUrl, (sql) => sql.unsafe(`drop database if exists ${name} with (force)`))
    },
  }
}

function databaseUrl(serverUrl: string, database: string, role?: keyof typeof rolePasswords): string {
  const url = new URL(serverUrl)
  url.pathname = `/${database}`
  if (role) {
    url.username = `capstan_${role}`
    url.password = rolePasswords[role]
  }
  return url.href
}

async function ensureTemplate(serverUrl: string): Promise<string> {
  const folder = fileURLToPath(new URL('../../sql/', import.meta.url))
  const hash = createHash('sha256')
  for (const name of (await readdir(folder)).sort()) hash.update(name).update(await readFile(`${folder}${name}`))
  const template = `template_${hash.digest('hex').slice(0, 24)}`
  await onServer(serverUrl, async (sql) => {
    await sql`select pg_advisory_lock(7201951)`
    try {
      const [ready] = await sql`select 1 from pg_database where datname = ${template} and datistemplate`
      if (ready) return
      await sql.unsafe(`drop database if exists ${template} with (force)`)
      await sql.unsafe(`create database ${template}`)
      await migrate({ url: databaseUrl(serverUrl, template), rolePasswords })
      await sql.unsafe(`alter database ${template} is_template true`)
    } finally {
      await sql`select pg_advisory_unlock(7201951)`
    }
  })
  return template
}

async function onServer<T>(url: string, work: (sql: postgres.Sql) => Promise<T>): Promise<T> {
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  try {
    return await work(sql)
  } finally {
    await sql.end({ timeout: 5 })
  }
}
