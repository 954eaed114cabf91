import { sessions, type Transaction } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import type { Self } from '../auth/self.js'
import { endAllSessions } from './end-all-sessions.js'

/** A second factor was presented in this session just now. */
export async function markSecondFactor(tx: Transaction, { session, now }: Self): Promise<void> {
  await tx.update(sessions).set({ twoFactor: true, secondFactorAt: now() }).where(eq(sessions.id, session.sessionId))
}

/** Ends every session of this person but the one that asks; answers how many. */
export const endOtherSessions = (tx: Transaction, { session, now }: Self): Promise<number> =>
  endAllSessions(tx, { userId: session.userId, except: session.sessionId, at: now() })
