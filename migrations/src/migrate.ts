import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import postgres from 'postgres'

const folder = fileURLToPath(new URL('../sql/', import.meta.url))
const roleNames = { api: 'capstan_api', control: 'capstan_control', broker: 'capstan_broker' } as const

export type MigrateOptions = {
  /** A connection of the owner of the schema. */
  url: string
  password?: string
  /** Passwords for the roles of the processes; without them the roles stay without login. */
  rolePasswords?: Record<keyof typeof roleNames, string>
}

/** The database was made by other migrations than these: an edited one, or one that this version does not know. */
export class MigrationMismatch extends Error {
  override name = 'MigrationMismatch' as const
}

/**
 * Brings the schema forward. Safe to run twice and from two places at once. Throws `MigrationMismatch`, and changes
 * nothing, when an applied migration was edited since or is missing here.
 */
export async function migrate({ url, password, rolePasswords }: MigrateOptions): Promise<{ applied: string[] }> {
  const sql = postgres(url, { max: 1, onnotice: () => {}, ...(password === undefined ? {} : { password }) })
  try {
    const applied: string[] = []
    await sql.begin(async (tx) => {
      await tx`select pg_advisory_xact_lock(7201950)`
      await tx`create table if not exists schema_migrations
        (name text primary key, sha256 text not null, applied_at timestamptz not null default now())`
      const done = new Map<string, string>(
        (await tx`select name, sha256 from schema_migrations`).map((row) => [row.name, row.sha256]),
      )
      const migrations = await readMigrations()
      const known = new Set(migrations.map(({ name }) => name))
      const unknown = [...done.keys()].find((name) => !known.has(name))
      if (unknown !== undefined) throw new MigrationMismatch(`Migration ${unknown} was applied by a newer version.`)
      for (const { name, text, sha256 } of migrations) {
        const before = done.get(name)
        if (before === sha256) continue
        if (before !== undefined)
          throw new MigrationMismatch(`Migration ${name} was changed after it had been applied.`)
        await tx.unsafe(text)
        await tx`insert into schema_migrations (name, sha256) values (${name}, ${sha256})`
        applied.push(name)
      }
    })
    if (rolePasswords) await setRolePasswords(sql, rolePasswords)
    return { applied }
  } finally {
    await sql.end({ timeout: 5 })
  }
}

async function readMigrations(): Promise<{ name: string; text: string; sha256: string }[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.sql')).sort()
  return Promise.all(
    names.map(async (name) => {
      const text = await readFile(`${folder}${name}`, 'utf8')
      return { name, text, sha256: createHash('sha256').update(text).digest('hex') }
    }),
  )
}

async function setRolePasswords(sql: postgres.Sql, passwords: Record<keyof typeof roleNames, string>): Promise<void> {
  for (const [role, name] of Object.entries(roleNames) as [keyof typeof roleNames, string][]) {
    const [row] = await sql<{ statement: string }[]>`
      select format('alter role %I login password %L', ${name}::text, ${passwords[role]}::text) as statement`
    if (row) await sql.unsafe(row.statement)
  }
}
