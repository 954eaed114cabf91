import { drizzle, type PostgresJsDatabase, type PostgresJsTransaction } from 'drizzle-orm/postgres-js'
import type { ExtractTablesWithRelations } from 'drizzle-orm'
import postgres from 'postgres'
import * as schema from './schema/index.js'

export type Database = PostgresJsDatabase<typeof schema>
export type Transaction = PostgresJsTransaction<typeof schema, ExtractTablesWithRelations<typeof schema>>

export type OpenDatabase = {
  db: Database
  /** The driver itself: for LISTEN and for health checks; rows of organizations are read through `withOrg` alone. */
  sql: postgres.Sql
  [Symbol.asyncDispose](): Promise<void>
}

export type DatabaseOptions = { url: string; password?: string; poolSize?: number; applicationName?: string }

/** Opens a pool. `password` comes from a file, so that no secret stands in a URL. */
export function openDatabase({ url, password, poolSize = 10, applicationName }: DatabaseOptions): OpenDatabase {
  const sql = postgres(url, {
    max: poolSize,
    onnotice: () => {},
    ...(password === undefined ? {} : { password }),
    connection: { application_name: applicationName ?? 'capstan' },
  })
  return {
    db: drizzle(sql, { schema }),
    sql,
    [Symbol.asyncDispose]: () => sql.end({ timeout: 5 }),
  }
}
