import { randomBytes } from 'node:crypto'
import { newId, signInFlows, withLookup } from '@capstan/migrations'
import { buildAuthorizationUrl, calculatePKCECodeChallenge, randomNonce, randomPKCECodeVerifier } from 'openid-client'
import { networkOf } from '../auth/client-address.js'
import { digestOwn, sealOwn } from '../auth/identity-keys.js'
import type { SessionPrincipal } from '../auth/self.js'
import type { Deps } from '../context.js'
import { limitRate } from '../limit-rate.js'
import { Problem } from '../problems.js'
import { openProvider, type Provider, redirectUriOf } from './open-provider.js'

const LIFE_MS = 10 * 60_000
const SECRET_BYTES = 32
export const FLOW_PURPOSE = 'sign-in-flow'

const admitNetwork = limitRate({ burst: 60, perSecond: 0.5 })

export type BeginSignIn = {
  provider: Provider
  /** Of a command line that waits. */
  userCode: string
  /** Who links the identity, in which session; null: a sign-in. */
  linker: Pick<SessionPrincipal, 'userId' | 'sessionId'> | null
  address: string | null
}

/**
 * Begins a sign-in at a provider: authorization code with PKCE, state and nonce. `browser` stays with the browser that
 * began, so that nobody can be signed in by an answer that somebody else was given.
 */
export async function beginSignIn(deps: Deps, input: BeginSignIn): Promise<{ url: string; browser: string }> {
  if (!admitNetwork(networkOf(input.address), deps.now())) {
    throw new Problem('too-many-requests', 'Too many sign-ins come from your network. Try again in a minute.')
  }
  const { provider, userCode, linker } = input
  const config = await openProvider(deps, provider)
  const [state, browser] = [secret(), secret()]
  const [nonce, verifier] = [randomNonce(), randomPKCECodeVerifier()]
  const stateHash = stateHashOf(deps, state)
  const secrets = Buffer.from(JSON.stringify({ nonce, verifier }))
  await withLookup(deps.db, stateHash, (tx) =>
    tx.insert(signInFlows).values({
      id: newId(),
      stateHash,
      browserHash: browserHashOf(deps, browser),
      providerId: provider.id,
      sealedSecrets: sealOwn(deps.pepper, FLOW_PURPOSE, stateHash, secrets),
      userCode,
      userId: linker?.userId ?? null,
      sessionId: linker?.sessionId ?? null,
      createdAt: deps.now(),
      expiresAt: new Date(deps.now().getTime() + LIFE_MS),
    }),
  )
  const url = buildAuthorizationUrl(config, {
    redirect_uri: redirectUriOf(deps),
    scope: 'openid email',
    response_type: 'code',
    state,
    nonce,
    code_challenge: await calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  })
  return { url: url.href, browser }
}

const secret = () => randomBytes(SECRET_BYTES).toString('base64url')
export const stateHashOf = ({ pepper }: Deps, state: string): string => digestOwn(pepper, 'sign-in-state', state)
export const browserHashOf = ({ pepper }: Deps, browser: string): string =>
  digestOwn(pepper, 'sign-in-browser', browser)
