import { apiTokens, type Role, type Transaction } from '@capstan/migrations'
import { and, arrayContained, eq, inArray, not, type SQL, sql } from 'drizzle-orm'
import { scopesOf } from '../auth/permissions.js'
import { endTokens } from '../tokens/end-tokens.js'

/** Tokens whose secret this person was the last to see, and what was made through those: personal ones among them. */
const knownTo = (userId: string): SQL => inArray(apiTokens.id, sql`(select tokens_known_to(${userId}::uuid))`)

/**
 * Revokes the service tokens that this person may know and that may do more than the role: such a token stands for
 * itself, and would leave them what was taken away. Gives how many.
 */
export async function endServiceTokensBeyond(
  tx: Transaction,
  { userId, role }: { userId: string; role: Role },
  now: Date,
): Promise<number> {
  const allowed = [...scopesOf(role)]
  const isBeyond = allowed.length > 0 ? not(arrayContained(apiTokens.scopes, allowed)) : undefined
  return (await endTokens(tx, and(eq(apiTokens.kind, 'service'), knownTo(userId), isBeyond), now)).length
}

/** Every token of a person who leaves, and every other that they may know. */
export async function endTokensOf(tx: Transaction, userId: string, now: Date): Promise<number> {
  return (await endTokens(tx, knownTo(userId), now)).length
}
