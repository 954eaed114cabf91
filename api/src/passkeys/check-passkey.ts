import { passkeys, withLookup, withUser } from '@capstan/migrations'
import type { AuthenticationResponseJSON } from '@simplewebauthn/server'
import { and, eq } from 'drizzle-orm'
import type { Deps } from '../context.js'
import { loadWebAuthn } from './load-web-authn.js'
import { createChallenge, isChallenge, passkeyRefused, spendChallenge } from './passkey-challenge.js'
import { relyingParty } from './relying-party.js'

/** What `navigator.credentials.get()` needs; the authenticator itself knows whose passkeys it holds. */
export async function askForPasskey(deps: Deps) {
  const { generateAuthenticationOptions } = await loadWebAuthn()
  const { id: rpID } = relyingParty(deps)
  return generateAuthenticationOptions({
    rpID,
    challenge: createChallenge(deps, 'sign-in'),
    userVerification: 'required',
  })
}

/** Whose passkey signed our challenge. Every way to fail is the same refusal. */
export async function checkPasskey(deps: Deps, response: AuthenticationResponseJSON): Promise<string> {
  const { id: rpId, origin } = relyingParty(deps)
  const [passkey] = await withLookup(deps.db, response.id, (tx) =>
    tx.select().from(passkeys).where(eq(passkeys.credentialId, response.id)),
  )
  if (!passkey) throw passkeyRefused()
  const { verifyAuthenticationResponse } = await loadWebAuthn()
  const { credentialId: id, counter } = passkey
  const verified = await verifyAuthenticationResponse({
    response,
    expectedChallenge: (challenge) => isChallenge(deps, 'sign-in', challenge),
    expectedOrigin: origin,
    expectedRPID: rpId,
    credential: { id, counter, publicKey: new Uint8Array(passkey.publicKey) },
    requireUserVerification: true,
  }).catch(() => null)
  if (!verified?.verified) throw passkeyRefused()
  await spendChallenge(deps, response.response.clientDataJSON)
  await withUser(deps.db, passkey.userId, async (tx) => {
    const { newCounter } = verified.authenticationInfo
    const set = { counter: newCounter, lastUsedAt: deps.now() }
    // A counter that another request has moved on meanwhile is what a copied authenticator looks like.
    const moved = await tx
      .update(passkeys)
      .set(set)
      .where(and(eq(passkeys.id, passkey.id), eq(passkeys.counter, counter)))
      .returning({ id: passkeys.id })
    if (moved.length === 0) throw passkeyRefused()
  })
  return passkey.userId
}
