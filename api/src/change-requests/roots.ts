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

/** Whether the same human is among both: by account, or by the address of accounts that are both in the organization. */
export async function overlap(tx: Transaction, some: readonly string[], others: readonly string[]): Promise<boolean> {
  const array = (people: readonly string[]) => sql`${`{${people.join(',')}}`}::uuid[]`
  const [row] = await tx.execute<{ same: boolean }>(sql`select same_people(${array(some)}, ${array(others)}) as same`)
  if (!row) throw new Error('Whether people are the same is not known.')
  return row.same
}
