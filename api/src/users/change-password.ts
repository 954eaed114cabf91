import { emailChanges, passwordResets, userPasswords, withUser } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { hashInTurn } from '../auth/hash-in-turn.js'
import { hashPassword, passwordMatches } from '../auth/password.js'
import { recordOwn, type Self } from '../auth/self.js'
import { Problem } from '../problems.js'
import { createFailureCounter } from '../sessions/count-failures.js'
import { storedPassword } from '../sessions/create-session.js'
import { endOtherSessions } from '../sessions/mark-second-factor.js'

/** Whoever finds a session open must not guess in it. */
const failures = createFailureCounter()

export type ChangePassword = { password: string; newPassword: string }

/** Needs the present password, in whichever session; ends every other one, and codes that were mailed for a forgotten one or another address. API tokens go on: they are not of the password. */
export async function changePassword(self: Self, input: ChangePassword): Promise<{ ended: number }> {
  const { userId } = self.session
  failures.admit(userId, self.now())
  const stored = await storedPassword(self, userId)
  if (!(await hashInTurn(() => passwordMatches(input.password, stored)))) {
    failures.failed(userId, self.now())
    throw new Problem('password-wrong', 'The present password is wrong. Nothing was changed.')
  }
  failures.succeeded(userId)
  const hash = await hashInTurn(() => hashPassword(input.newPassword))
  return withUser(self.db, userId, async (tx) => {
    // Of two changes at once the second was made with a password that is not the present one any more.
    const [current] = await tx.select().from(userPasswords).where(eq(userPasswords.userId, userId)).for('update')
    if (!current || current.hash !== stored) throw new Problem('request-conflict')
    await tx.update(userPasswords).set({ hash, updatedAt: self.now() }).where(eq(userPasswords.userId, userId))
    await tx.delete(passwordResets).where(eq(passwordResets.userId, userId))
    await tx.delete(emailChanges).where(eq(emailChanges.userId, userId))
    const ended = await endOtherSessions(tx, self)
    await recordOwn(tx, self, { action: 'password.changed', target: { user: userId }, data: { sessions: ended } })
    return { ended }
  })
}
