import { emailChanges, passwordResets, userPasswords, withLookup, withUser } from '@capstan/migrations'
import { and, eq, gt } from 'drizzle-orm'
import { hashInTurn } from '../auth/hash-in-turn.js'
import { hashPassword } from '../auth/password.js'
import { recordPersonal } from '../auth/self.js'
import { hashToken, kindOf } from '../auth/tokens.js'
import type { Deps } from '../context.js'
import { mailOwnChange } from '../mails/mail-to.js'
import { Problem } from '../problems.js'
import { endAllSessions } from '../sessions/end-all-sessions.js'
import { admitStranger } from './admit-stranger.js'

const invalid = () => new Problem('reset-invalid', 'This code was used or has expired. Ask for another one.')

export type RedeemReset = { secret: string; password: string; address: string | null; requestId: string }

/**
 * Sets the password for whoever holds the code, once, and ends every session. Nobody is signed in by it: a second factor
 * is asked for as ever.
 */
export async function redeemReset(deps: Deps, input: RedeemReset): Promise<void> {
  const { secret, password, address, requestId } = input
  admitStranger(deps, address)
  if (kindOf(secret) !== 'cr') throw invalid()
  const tokenHash = hashToken(deps.pepper, secret)
  const isLive = and(eq(passwordResets.tokenHash, tokenHash), gt(passwordResets.expiresAt, deps.now()))
  const [found] = await withLookup(deps.db, tokenHash, (tx) =>
    tx.select({ userId: passwordResets.userId }).from(passwordResets).where(isLive),
  )
  if (!found) throw invalid()
  const { userId } = found
  const hash = await hashInTurn(() => hashPassword(password))
  await withUser(deps.db, userId, async (tx) => {
    // Of two who use it at once one is refused.
    const used = await tx.delete(passwordResets).where(isLive).returning({ id: passwordResets.id })
    if (used.length === 0) throw invalid()
    const now = deps.now()
    await tx.update(userPasswords).set({ hash, updatedAt: now }).where(eq(userPasswords.userId, userId))
    await tx.delete(emailChanges).where(eq(emailChanges.userId, userId))
    const ended = await endAllSessions(tx, { userId, at: now })
    await mailOwnChange(tx, deps, { userId, action: 'password.reset' })
    const entry = { action: 'password.reset', target: { user: userId }, data: { sessions: ended } }
    await recordPersonal(tx, { userId, requestId }, entry)
  })
}
