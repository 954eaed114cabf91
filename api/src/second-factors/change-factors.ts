import { recoveryCodes, sessions, type Transaction, userTotp, withUser } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { recordOwn, requireFreshSelf, type Self } from '../auth/self.js'
import { Problem } from '../problems.js'
import { findFactors, hasFactor } from './find-factors.js'
import { replaceRecoveryCodes } from './recovery-codes.js'

/** Ends the authenticator app, with a second factor of the last five minutes. */
export async function removeTotp(self: Self): Promise<void> {
  const { userId } = self.session
  await withUser(self.db, userId, async (tx) => {
    requireFreshSelf(self, hasFactor(await findFactors(tx, userId)))
    const removed = await tx.delete(userTotp).where(eq(userTotp.userId, userId)).returning({ at: userTotp.confirmedAt })
    if (!removed[0]) throw new Problem('not-found', 'There is no authenticator app.')
    await forgetFactorsWithoutAny(tx, userId)
    await recordOwn(tx, self, { action: 'second-factor.removed', target: { user: userId }, data: { kind: 'totp' } })
  })
}

/** New recovery codes; the old ones end. */
export async function renewRecoveryCodes(self: Self): Promise<{ recoveryCodes: string[] }> {
  const { userId } = self.session
  return withUser(self.db, userId, async (tx) => {
    const enrolled = hasFactor(await findFactors(tx, userId))
    if (!enrolled) throw new Problem('second-factor-not-started', 'Set up an authenticator app or a passkey first.')
    requireFreshSelf(self, enrolled)
    const codes = await replaceRecoveryCodes(tx, self, userId)
    await recordOwn(tx, self, { action: 'recovery-codes.renewed', target: { user: userId } })
    return { recoveryCodes: codes }
  })
}

/** Whoever has no factor left is not taken for somebody with one: in no session, and with no code of former times. */
export async function forgetFactorsWithoutAny(tx: Transaction, userId: string): Promise<void> {
  if (hasFactor(await findFactors(tx, userId))) return
  await tx.delete(recoveryCodes).where(eq(recoveryCodes.userId, userId))
  await tx.update(sessions).set({ twoFactor: false, secondFactorAt: null }).where(eq(sessions.userId, userId))
}
