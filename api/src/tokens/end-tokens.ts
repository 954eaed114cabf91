import { apiTokens, type Transaction } from '@capstan/migrations'
import { and, inArray, isNull, type SQL, sql } from 'drizzle-orm'

/** For `endTokens`: a token and everything that was made through it. */
export const madeThrough = (tokenId: string): SQL =>
  inArray(apiTokens.id, sql`(select tokens_through(${tokenId}::uuid))`)

/**
 * Revokes the live ones of these; gives their ids. Looks again until none is left: a token that was being made through one
 * of them held it, and is there only once this had waited for it.
 */
export async function endTokens(tx: Transaction, which: SQL | undefined, revokedAt: Date): Promise<string[]> {
  const ended: string[] = []
  for (;;) {
    const revoked = await tx
      .update(apiTokens)
      .set({ revokedAt })
      .where(and(isNull(apiTokens.revokedAt), which))
      .returning({ id: apiTokens.id })
    if (revoked.length === 0) return ended
    ended.push(...revoked.map(({ id }) => id))
  }
}
