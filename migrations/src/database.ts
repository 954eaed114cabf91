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
  /** Hears a notification channel on a connection of its own. */
  listen: Listen
  [Symbol.asyncDispose](): Promise<void>
}

export type Listen = (channel: string, onNotify: (payload: string) => void) => Promise<Listener>

/** Notifications sent after `isLost` are not heard: listen anew, and look for what was missed. */
export type Listener = { isLost(): boolean; [Symbol.asyncDispose](): Promise<void> }

export type DatabaseOptions = { url: string; password?: string; poolSize?: number; applicationName?: string }

/** Opens a pool. `password` comes from a file, so that no secret stands in a URL. */
export function openDatabase({ url, password, poolSize = 10, applicationName }: DatabaseOptions): OpenDatabase {
  const options = {
    onnotice: () => {},
    // The driver's own pause grows to twenty seconds; a database that is back is wanted at once.
    backoff: (retries: number) => Math.min(3 ** retries / 100, 1) * (0.5 + Math.random() / 2),
    ...(password === undefined ? {} : { password }),
    connection: { application_name: applicationName ?? 'capstan' },
  }
  const sql = postgres(url, { ...options, max: poolSize })
  return {
    db: drizzle(sql, { schema }),
    sql,
    listen: (channel, onNotify) => listen(url, options, channel, onNotify),
    [Symbol.asyncDispose]: () => sql.end({ timeout: 5 }),
  }
}

async function listen(
  url: string,
  options: postgres.Options<Record<string, postgres.PostgresType>>,
  channel: string,
  onNotify: (payload: string) => void,
): Promise<Listener> {
  let lost = false
  const sql = postgres(url, {
    ...options,
    max: 1,
    idle_timeout: 0,
    max_lifetime: null,
    fetch_types: false,
    onclose: () => (lost = true),
    onnotify: (_channel: string, payload: string) => onNotify(payload),
  } as postgres.Options<Record<string, postgres.PostgresType>>)
  try {
    await sql`listen ${sql(channel)}`
  } catch (error) {
    await sql.end({ timeout: 0 })
    throw error
  }
  return { isLost: () => lost, [Symbol.asyncDispose]: () => sql.end({ timeout: 0 }) }
}
