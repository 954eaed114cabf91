import { apiTokens, type Role, type Transaction } from '@capstan/migrations'
import { and, arrayContained, eq, isNull, not, sql, type SQL } from 'drizzle-orm'
import { scopesOf } from '../auth/permissions.js'

/** Who saw the secret of a token last. */
const knows = (userId: string): SQL => sql`coalesce(${apiTokens.rotatedBy}, ${apiTokens.userId}) = ${userId}`

/**
 * Revokes the service tokens whose secret this person was the last to see and that may do more than the role: such a token
 * stands for itself, and would leave them what was taken away. Gives how many.
 */
export function endServiceTokensBeyond(
  tx: Transaction,
  { userId, role }: { userId: string; role: Role },
  now: Date,
): Promise<number> {
  const allowed = [...scopesOf(role)]
  const isBeyond = allowed.length > 0 ? not(arrayContained(apiTokens.scopes, allowed)) : undefined
  return endTokens(tx, and(eq(apiTokens.kind, 'service'), knows(userId), isBeyond), now)
}

/** Every token of a person who leaves: personal ones, and service tokens whose secret they were the last to see. */
export function endTokensOf(tx: Transaction, userId: string, now: Date): Promise<number> {
  const isTheirs = and(eq(apiTokens.kind, 'personal'), eq(apiTokens.userId, userId))
  return endTokens(tx, sql`(${isTheirs} or ${knows(userId)})`, now)
}

async function endTokens(tx: Transaction, which: SQL | undefined, revokedAt: Date): Promise<number> {
  const revoked = await tx
    .update(apiTokens)
    .set({ revokedAt })
    .where(and(isNull(apiTokens.revokedAt), which))
    .returning({ id: apiTokens.id })
  return revoked.length
}
