import { environments, type Transaction } from '@capstan/migrations'
import { and, eq } from 'drizzle-orm'
import { Problem } from '../problems.js'

export type Environment = typeof environments.$inferSelect
/** An environment as a request names it; names are compared without regard to case. */
export type EnvironmentKey = { id: string } | { name: string }

/** With `lock`, nobody changes or deletes it until the transaction ends. */
export async function findEnvironment(
  tx: Transaction,
  appId: string,
  key: EnvironmentKey,
  { lock = false } = {},
): Promise<Environment> {
  const match = 'id' in key ? eq(environments.id, key.id) : eq(environments.nameLower, key.name.trim().toLowerCase())
  const query = tx
    .select()
    .from(environments)
    .where(and(eq(environments.appId, appId), match))
  const [found] = await (lock ? query.for('update') : query)
  if (found) return found
  throw 'id' in key
    ? new Problem('not-found', 'This app has no such environment.')
    : new Problem('not-found', `This app has no environment named "${key.name}". Check the name, or create it first.`)
}
