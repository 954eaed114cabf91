import { emailChanges, passwordResets, users, withUser } from '@capstan/migrations'
import { and, eq, gt } from 'drizzle-orm'
import { recordOwn, type Self } from '../auth/self.js'
import { hashToken } from '../auth/tokens.js'
import { emailNoticeLetter } from '../mails/letters.js'
import { queueMail } from '../mails/queue-mail.js'
import { Problem } from '../problems.js'
import { endOtherSessions } from '../sessions/mark-second-factor.js'
import { isTaken } from './is-taken.js'

/**
 * From now on the person signs in with the address that the code was mailed to. Only who asked, signed in: a code that
 * went to a mistyped address gives its reader no account. Ends what the old address still opens, and every other session.
 */
export async function redeemEmailChange(self: Self, secret: string): Promise<{ email: string; ended: number }> {
  const { userId } = self.session
  const isMine = and(eq(emailChanges.userId, userId), eq(emailChanges.tokenHash, hashToken(self.pepper, secret)))
  return withUser(self.db, userId, async (tx) => {
    const isLive = and(isMine, gt(emailChanges.expiresAt, self.now()))
    const [change] = await tx.delete(emailChanges).where(isLive).returning({ email: emailChanges.email })
    if (!change) {
      const how = 'Ask for another one, and use it signed in as the person who asked.'
      throw new Problem('email-change-invalid', `This code was used, has expired, or is not yours. ${how}`)
    }
    const { email } = change
    const [before] = await tx.select({ email: users.email }).from(users).where(eq(users.id, userId)).for('update')
    if (!before) throw new Problem('token-invalid')
    if (await isTaken(tx, { email, userId })) {
      throw new Problem('account-exists', 'Somebody else signs in with this address by now. Nothing was changed.')
    }
    await tx.update(users).set({ email, updatedAt: self.now() }).where(eq(users.id, userId))
    await tx.delete(passwordResets).where(eq(passwordResets.userId, userId))
    const ended = await endOtherSessions(tx, self)
    const action = 'email.changed'
    const notice = emailNoticeLetter(self.publicUrl, { email, changed: true, at: self.now() })
    await queueMail(tx, self, { ...notice, kind: action, userId, to: before.email })
    await recordOwn(tx, self, { action, target: { user: userId }, data: { sessions: ended } })
    return { email, ended }
  })
}
