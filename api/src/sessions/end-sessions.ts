import { sessions, withUser } from '@capstan/migrations'
import { and, eq, isNull } from 'drizzle-orm'
import { recordOwn, type Self } from '../auth/self.js'
import { endOtherSessions } from './mark-second-factor.js'

/** Ends one session of this person, with the next request. One that has ended, or is somebody else's, stays as it is. */
export async function endSession(self: Self, sessionId: string): Promise<void> {
  const { userId } = self.session
  await withUser(self.db, userId, async (tx) => {
    const ended = await tx
      .update(sessions)
      .set({ revokedAt: self.now() })
      .where(and(eq(sessions.id, sessionId), eq(sessions.userId, userId), isNull(sessions.revokedAt)))
      .returning({ id: sessions.id })
    if (ended.length > 0) await recordOwn(tx, self, { action: 'session.ended', target: { session: sessionId } })
  })
}

/** Ends every other session of this person. */
export async function endOthers(self: Self): Promise<number> {
  return withUser(self.db, self.session.userId, async (tx) => {
    const ended = await endOtherSessions(tx, self)
    if (ended > 0) {
      const target = { user: self.session.userId }
      await recordOwn(tx, self, { action: 'sessions.ended', target, data: { sessions: ended } })
    }
    return ended
  })
}
