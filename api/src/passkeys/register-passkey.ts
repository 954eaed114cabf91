import { newId, passkeys, users, withUser } from '@capstan/migrations'
import type { RegistrationResponseJSON } from '@simplewebauthn/server'
import { eq } from 'drizzle-orm'
import { recordOwn, requireFreshSelf, type Self } from '../auth/self.js'
import { Problem } from '../problems.js'
import { findFactors, hasFactor } from '../second-factors/find-factors.js'
import { replaceRecoveryCodes } from '../second-factors/recovery-codes.js'
import { endOtherSessions, markSecondFactor } from '../sessions/mark-second-factor.js'
import { loadWebAuthn } from './load-web-authn.js'
import { createChallenge, isChallenge, passkeyRefused, spendChallenge } from './passkey-challenge.js'
import { relyingParty } from './relying-party.js'

const MAX_PASSKEYS = 20

const purposeOf = (self: Self) => `register/${self.session.userId}`

/** What `navigator.credentials.create()` needs. The authenticator must verify its user: a passkey is two factors. */
export async function offerPasskey(self: Self) {
  const { userId } = self.session
  const { id: rpID } = relyingParty(self)
  const { email, known } = await withUser(self.db, userId, async (tx) => {
    requireFreshSelf(self, hasFactor(await findFactors(tx, userId)))
    const [user] = await tx.select({ email: users.email }).from(users).where(eq(users.id, userId))
    return { email: user?.email ?? userId, known: await tx.select().from(passkeys).where(eq(passkeys.userId, userId)) }
  })
  const { generateRegistrationOptions } = await loadWebAuthn()
  return generateRegistrationOptions({
    rpName: 'Capstan',
    rpID,
    userName: email,
    userID: new TextEncoder().encode(userId),
    challenge: createChallenge(self, purposeOf(self)),
    attestationType: 'none',
    authenticatorSelection: { residentKey: 'required', userVerification: 'required' },
    excludeCredentials: known.map((row) => ({ id: row.credentialId })),
  })
}

/** Keeps the public key of an authenticator that answered our challenge. The first factor brings recovery codes. */
export async function registerPasskey(self: Self, input: { name: string; response: RegistrationResponseJSON }) {
  const { userId } = self.session
  const { id: rpId, origin } = relyingParty(self)
  const { credential } = await verify(self, input.response, rpId, origin)
  await spendChallenge(self, input.response.response.clientDataJSON)
  return withUser(self.db, userId, async (tx) => {
    const factors = await findFactors(tx, userId)
    requireFreshSelf(self, hasFactor(factors))
    if (factors.passkeys >= MAX_PASSKEYS) {
      throw new Problem(
        'second-factor-exists',
        `There are ${MAX_PASSKEYS} passkeys. Remove one that you no longer use.`,
      )
    }
    const [passkey] = await tx
      .insert(passkeys)
      .values({
        id: newId(),
        userId,
        credentialId: credential.id,
        publicKey: credential.publicKey,
        counter: credential.counter,
        transports: (credential.transports ?? []).slice(0, 10),
        name: input.name,
      })
      .onConflictDoNothing()
      .returning()
    if (!passkey) throw new Problem('second-factor-exists', 'This passkey is registered already.')
    const recoveryCodes = hasFactor(factors) ? [] : await replaceRecoveryCodes(tx, self, userId)
    await markSecondFactor(tx, self)
    if (!hasFactor(factors)) await endOtherSessions(tx, self)
    await recordOwn(tx, self, {
      action: 'second-factor.added',
      target: { user: userId, passkey: passkey.id },
      data: { kind: 'passkey' },
    })
    return { passkey, recoveryCodes }
  })
}

async function verify(self: Self, response: RegistrationResponseJSON, rpId: string, origin: string) {
  const { verifyRegistrationResponse } = await loadWebAuthn()
  const verified = await verifyRegistrationResponse({
    response,
    expectedChallenge: (challenge) => isChallenge(self, purposeOf(self), challenge),
    expectedOrigin: origin,
    expectedRPID: rpId,
    requireUserVerification: true,
  }).catch(() => null)
  if (!verified?.verified) throw passkeyRefused()
  return verified.registrationInfo
}
