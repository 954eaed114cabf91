import type { AuthenticationResponseJSON } from '@simplewebauthn/server'
import type { Deps } from '../context.js'
import { networkOf } from '../auth/client-address.js'
import { redeemDeviceCode } from '../device-codes/redeem-device-code.js'
import { limitRate } from '../limit-rate.js'
import { checkPasskey } from '../passkeys/check-passkey.js'
import { Problem } from '../problems.js'
import type { FactorProof } from '../second-factors/use-second-factor.js'
import { createSession } from './create-session.js'
import { openSession, type OpenSession } from './open-session.js'

export type SignIn = FactorProof & {
  email?: string | undefined
  password?: string | undefined
  /** With `provider` "code": the secret of a sign-in that a person confirmed in a browser. */
  code?: string | undefined
  provider?: string | undefined
  passkey?: AuthenticationResponseJSON | undefined
}
type From = Pick<OpenSession, 'client' | 'userAgent' | 'requestId'>

/** Passwords by network: made-up e-mail addresses from one place must not fill the queue of everybody. */
const admitNetwork = limitRate({ burst: 60, perSecond: 0.5 })

/** A session for whichever proof was sent. */
export async function signIn(
  deps: Deps,
  input: SignIn,
  { address, ...from }: From & { address: string | null },
): Promise<{ id: string; token: string }> {
  const { email, password, code, passkey, otp, recoveryCode } = input
  if (input.provider === 'code' && code) return redeemDeviceCode(deps, { id: code, ...from })
  if (passkey) {
    const userId = await checkPasskey(deps, passkey)
    const proof = { method: 'passkey', twoFactor: true, secondFactorAt: deps.now() }
    return openSession(deps, { userId, ...from, ...proof })
  }
  if (email && password) {
    if (address !== null && !admitNetwork(networkOf(address), deps.now())) {
      throw new Problem('too-many-requests', 'Too many sign-ins come from your network. Try again in a minute.')
    }
    return createSession(deps, { email, password, otp, recoveryCode, ...from })
  }
  const sentence = 'Send e-mail address and password, or use "login --token" with an API token.'
  throw new Problem('sign-in-refused', sentence)
}
