import { withUser } from '@capstan/migrations'
import type { AuthenticationResponseJSON } from '@simplewebauthn/server'
import { recordOwn, type Self } from '../auth/self.js'
import { checkPasskey } from '../passkeys/check-passkey.js'
import { passkeyRefused } from '../passkeys/passkey-challenge.js'
import { type FactorProof, useSecondFactor } from '../second-factors/use-second-factor.js'
import { markSecondFactor } from './mark-second-factor.js'

export type ConfirmSession = FactorProof & { passkey?: AuthenticationResponseJSON | undefined }

/** Presents a second factor in a session that goes on: opens what is sensitive for five minutes. */
export async function confirmSession(self: Self, input: ConfirmSession): Promise<void> {
  const { userId, sessionId } = self.session
  const method = input.passkey
    ? await confirmWithPasskey(self, input.passkey)
    : await useSecondFactor(self, userId, input)
  await withUser(self.db, userId, async (tx) => {
    await markSecondFactor(tx, self)
    await recordOwn(tx, self, { action: 'session.confirmed', target: { session: sessionId }, data: { method } })
  })
}

async function confirmWithPasskey(self: Self, response: AuthenticationResponseJSON): Promise<string> {
  if ((await checkPasskey(self, response)) !== self.session.userId) throw passkeyRefused()
  return 'passkey'
}
