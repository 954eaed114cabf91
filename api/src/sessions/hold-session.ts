import { sessions, type Transaction } from '@capstan/migrations'
import { and, eq, gt, isNull } from 'drizzle-orm'

/** Inside `withUser`: whether this session of that person is live, and it stays so until the transaction ends. */
export async function holdSession(tx: Transaction, sessionId: string, now: Date): Promise<boolean> {
  const isLive = and(eq(sessions.id, sessionId), isNull(sessions.revokedAt), gt(sessions.expiresAt, now))
  return (await tx.select({ id: sessions.id }).from(sessions).where(isLive).for('share')).length > 0
}
