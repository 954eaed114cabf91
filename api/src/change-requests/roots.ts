import type { Transaction } from '@capstan/migrations'
import { sql } from 'drizzle-orm'
import type { Actor } from '../context.js'
import { Problem } from '../problems.js'

/**
 * The humans behind an actor: duties are separated between people, not between tokens. The database computes them, here
 * and in the constraints of every step, from the same function.
 */
export async function rootsOf(tx: Transaction, { type, id, via }: Actor): Promise<string[]> {
  if (type !== 'user' || (via?.type !== 'session' && via?.type !== 'token')) {
    throw new Problem('permission-missing', 'Nobody is known behind this caller. Sign in, or use an API token.')
  }
  const [row] = await tx.execute<{ roots: string[] }>(
    sql`select principal_roots(${id}::uuid, ${via.type}, ${via.id}::uuid) as roots`,
  )
  if (!row) throw new Error('The humans behind an actor are not known.')
  return row.roots
}

export const overlap = (some: readonly string[], others: readonly string[]): boolean =>
  some.some((person) => others.includes(person))
