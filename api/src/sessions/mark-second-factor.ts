import { deviceCodes, sessions, type Transaction } from '@capstan/migrations'
import { and, eq, isNull, ne } from 'drizzle-orm'
import type { Self } from '../auth/self.js'
import { endDeviceCodes } from '../device-codes/end-device-codes.js'

/** A second factor was presented in this session just now. */
export async function markSecondFactor(tx: Transaction, { session, now }: Self): Promise<void> {
  await tx.update(sessions).set({ twoFactor: true, secondFactorAt: now() }).where(eq(sessions.id, session.sessionId))
}

/** Ends every session of this person but the one that asks, also those that a command line waits for; answers how many. */
export async function endOtherSessions(tx: Transaction, { session, now }: Self): Promise<number> {
  const ended = await tx
    .update(sessions)
    .set({ revokedAt: now() })
    .where(and(eq(sessions.userId, session.userId), ne(sessions.id, session.sessionId), isNull(sessions.revokedAt)))
    .returning({ id: sessions.id })
  await endDeviceCodes(tx, eq(deviceCodes.userId, session.userId))
  return ended.length
}
