import { nativeConfigurations, type Transaction } from '@capstan/migrations'
import { and, eq } from 'drizzle-orm'
import { Problem } from '../problems.js'

export type Configuration = typeof nativeConfigurations.$inferSelect
/** A configuration as a request names it; names are compared without regard to case. */
export type ConfigurationKey = { id: string } | { name: string }

export async function findConfiguration(
  tx: Transaction,
  appId: string,
  key: ConfigurationKey,
  { lock = false } = {},
): Promise<Configuration> {
  const named =
    'id' in key
      ? eq(nativeConfigurations.id, key.id)
      : eq(nativeConfigurations.nameLower, key.name.trim().toLowerCase())
  const query = tx
    .select()
    .from(nativeConfigurations)
    .where(and(eq(nativeConfigurations.appId, appId), named))
  const [found] = await (lock ? query.for('update') : query)
  if (found) return found
  throw 'id' in key
    ? new Problem('not-found', 'This app has no such native configuration.')
    : new Problem('not-found', `This app has no native configuration named "${key.name}". Check the name.`)
}
