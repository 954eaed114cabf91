import { users, userTotp, withUser } from '@capstan/migrations'
import { and, eq, isNull } from 'drizzle-orm'
import { sealOwn } from '../auth/identity-keys.js'
import { recordOwn, requireFreshSelf, type Self } from '../auth/self.js'
import { base32, createTotpSecret, totpUri } from '../auth/totp.js'
import { Problem } from '../problems.js'
import { endOtherSessions, markSecondFactor } from '../sessions/mark-second-factor.js'
import { findFactors, hasFactor } from './find-factors.js'
import { replaceRecoveryCodes } from './recovery-codes.js'
import { spendTotp } from './use-second-factor.js'

/** A new secret for an authenticator app. It counts once a code of it came back, and replaces none that counts. */
export async function startTotp(self: Self): Promise<{ secret: string; uri: string }> {
  const { userId } = self.session
  const secret = createTotpSecret()
  return withUser(self.db, userId, async (tx) => {
    const factors = await findFactors(tx, userId)
    requireFreshSelf(self, hasFactor(factors))
    const sealedSecret = sealOwn(self.pepper, 'totp-secret', userId, secret)
    const started = await tx
      .insert(userTotp)
      .values({ userId, sealedSecret })
      .onConflictDoUpdate({
        target: userTotp.userId,
        set: { sealedSecret, lastStep: 0 },
        setWhere: isNull(userTotp.confirmedAt),
      })
      .returning({ userId: userTotp.userId })
    if (started.length === 0) {
      throw new Problem('second-factor-exists', 'An authenticator app is set up. Remove it before you set up another.')
    }
    const [user] = await tx.select({ email: users.email }).from(users).where(eq(users.id, userId))
    return { secret: base32(secret), uri: totpUri(secret, user?.email ?? userId) }
  })
}

/** The first code proves that the app has the secret; from here on it is asked for. Other sessions end. */
export async function confirmTotp(self: Self, otp: string): Promise<{ recoveryCodes: string[] }> {
  const { userId } = self.session
  return withUser(self.db, userId, async (tx) => {
    requireFreshSelf(self, hasFactor(await findFactors(tx, userId)))
    const [row] = await tx
      .select()
      .from(userTotp)
      .where(and(eq(userTotp.userId, userId), isNull(userTotp.confirmedAt)))
    if (!row) throw new Problem('second-factor-not-started', 'Ask for a secret first: POST /v1/users/me/totp.')
    if (!(await spendTotp(tx, self, row, otp))) {
      throw new Problem(
        'second-factor-refused',
        'The code is wrong. Check the clock of the device, and try the next one.',
      )
    }
    await tx.update(userTotp).set({ confirmedAt: self.now() }).where(eq(userTotp.userId, userId))
    const recoveryCodes = await replaceRecoveryCodes(tx, self, userId)
    await markSecondFactor(tx, self)
    await endOtherSessions(tx, self)
    await recordOwn(tx, self, { action: 'second-factor.added', target: { user: userId }, data: { kind: 'totp' } })
    return { recoveryCodes }
  })
}
