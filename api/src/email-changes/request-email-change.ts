import { emailChanges, newId, type Transaction, users, withUser } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { recordOwn, requireFreshSelf, type Self } from '../auth/self.js'
import { createToken, hashToken } from '../auth/tokens.js'
import { limitRate } from '../limit-rate.js'
import { admitLetterbox } from '../mails/admit-letterbox.js'
import { emailChangeLetter, emailNoticeLetter, emailTakenLetter } from '../mails/letters.js'
import { isMailAddress } from '../mails/mail-address.js'
import { queueMail } from '../mails/queue-mail.js'
import { requireMail } from '../mails/require-mail.js'
import { Problem } from '../problems.js'
import { findFactors, hasFactor } from '../second-factors/find-factors.js'
import { isTaken } from './is-taken.js'

const MINUTES = 30

/** Nobody has strangers written to. */
const admitPerson = limitRate({ burst: 5, perSecond: 1 / 900 })

/**
 * Mails a code to the new address, and a notice to the present one. The answer does not tell whether somebody else signs in
 * with the address: its letterbox does. A code of before is void then.
 */
export async function requestEmailChange(self: Self, email: string): Promise<void> {
  requireMail(self)
  if (!isMailAddress(email)) throw new Problem('request-invalid', 'email: no mail is sent to an address like this.')
  const { userId } = self.session
  await withUser(self.db, userId, async (tx) => {
    requireFreshSelf(self, hasFactor(await findFactors(tx, userId)))
    if (!admitPerson(userId, self.now()) || !admitLetterbox(email.toLowerCase(), self.now())) {
      throw new Problem('too-many-requests', 'Too many codes were mailed. Try again in a quarter of an hour.')
    }
    const [person] = await tx.select({ email: users.email }).from(users).where(eq(users.id, userId))
    if (!person) throw new Problem('token-invalid')
    await tx.delete(emailChanges).where(eq(emailChanges.userId, userId))
    const letter = (await isTaken(tx, { email, userId }))
      ? emailTakenLetter(self.publicUrl)
      : emailChangeLetter(self.publicUrl, { secret: await keepChange(tx, self, email), minutes: MINUTES })
    const kind = 'email.change_requested'
    await queueMail(tx, self, { ...letter, kind, userId, to: email, withinMs: MINUTES * 60_000 })
    const notice = emailNoticeLetter(self.publicUrl, { email, changed: false, at: self.now() })
    await queueMail(tx, self, { ...notice, kind, userId, to: person.email })
    await recordOwn(tx, self, { action: kind, target: { user: userId } })
  })
}

async function keepChange(tx: Transaction, self: Self, email: string): Promise<string> {
  const secret = createToken('ce')
  await tx.insert(emailChanges).values({
    id: newId(),
    userId: self.session.userId,
    email,
    tokenHash: hashToken(self.pepper, secret),
    expiresAt: new Date(self.now().getTime() + MINUTES * 60_000),
  })
  return secret
}
