import { alsoLookup, type Transaction, users } from '@capstan/migrations'
import { and, eq, ne, sql } from 'drizzle-orm'

/** Whether somebody else signs in with this address. What a provider said of its people takes none. */
export async function isTaken(tx: Transaction, { email, userId }: { email: string; userId: string }): Promise<boolean> {
  await alsoLookup(tx, email.toLowerCase())
  const isSame = eq(sql`lower(${users.email})`, email.toLowerCase())
  return (await tx.$count(users, and(isSame, ne(users.id, userId), eq(users.federated, false)))) > 0
}
