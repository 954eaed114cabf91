import { alsoUser, newId, passwordResets, userPasswords, users, withLookup } from '@capstan/migrations'
import { eq, sql } from 'drizzle-orm'
import { createToken, hashToken } from '../auth/tokens.js'
import type { Deps } from '../context.js'
import { resetLetter } from '../mails/letters.js'
import { queueMail } from '../mails/queue-mail.js'

const MINUTES = 30

/** Mails a code to the address if somebody signs in with it and a password. A code of before is void then. */
export async function requestReset(deps: Deps, address: string): Promise<void> {
  const email = address.toLowerCase()
  await withLookup(deps.db, email, async (tx) => {
    const [user] = await tx
      .select({ id: users.id, email: users.email })
      .from(users)
      .where(eq(sql`lower(${users.email})`, email))
    if (!user) return
    await alsoUser(tx, user.id)
    if ((await tx.$count(userPasswords, eq(userPasswords.userId, user.id))) === 0) return
    const secret = createToken('cr')
    const withinMs = MINUTES * 60_000
    await tx.delete(passwordResets).where(eq(passwordResets.userId, user.id))
    await tx.insert(passwordResets).values({
      id: newId(),
      userId: user.id,
      tokenHash: hashToken(deps.pepper, secret),
      expiresAt: new Date(deps.now().getTime() + withinMs),
    })
    const words = resetLetter(deps.publicUrl, { secret, minutes: MINUTES })
    await queueMail(tx, deps, { ...words, kind: 'password.reset_requested', userId: user.id, to: user.email, withinMs })
  })
}
