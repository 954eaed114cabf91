import { passkeys, withUser } from '@capstan/migrations'
import { and, eq } from 'drizzle-orm'
import { recordOwn, requireFreshSelf, type Self } from '../auth/self.js'
import { Problem } from '../problems.js'
import { forgetFactorsWithoutAny } from '../second-factors/change-factors.js'

/** Ends a passkey, with a second factor of the last five minutes. */
export async function removePasskey(self: Self, passkeyId: string): Promise<void> {
  const { userId } = self.session
  await withUser(self.db, userId, async (tx) => {
    const removed = await tx
      .delete(passkeys)
      .where(and(eq(passkeys.id, passkeyId), eq(passkeys.userId, userId)))
      .returning({ id: passkeys.id })
    if (removed.length === 0) throw new Problem('not-found')
    requireFreshSelf(self, true)
    await forgetFactorsWithoutAny(tx, userId)
    await recordOwn(tx, self, {
      action: 'second-factor.removed',
      target: { user: userId, passkey: passkeyId },
      data: { kind: 'passkey' },
    })
  })
}
