import { gitConnections, type Transaction } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { Problem } from '../problems.js'

export type GitConnection = typeof gitConnections.$inferSelect

export async function findConnection(tx: Transaction, id: string, { lock = false } = {}): Promise<GitConnection> {
  const query = tx.select().from(gitConnections).where(eq(gitConnections.id, id))
  const [found] = await (lock ? query.for('update') : query)
  if (!found) throw new Problem('not-found', 'The organization has no such git connection.')
  return found
}
