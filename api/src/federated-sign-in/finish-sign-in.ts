import { signInFlows, withLookup } from '@capstan/migrations'
import { and, eq, gt } from 'drizzle-orm'
import { authorizationCodeGrant } from 'openid-client'
import { z } from 'zod'
import { openOwn } from '../auth/identity-keys.js'
import type { Deps } from '../context.js'
import { type Issued, TokenRefused, verifyIssuedToken } from '../openid/verify-issued-token.js'
import { OutboundError } from '../outbound/outbound-error.js'
import { Problem } from '../problems.js'
import { openSession } from '../sessions/open-session.js'
import { browserHashOf, FLOW_PURPOSE, stateHashOf } from './begin-sign-in.js'
import { holdProvider } from './hold-provider.js'
import { linkIdentity } from './link-identity.js'
import { findProvider, openProvider, type Provider, redirectUriOf } from './open-provider.js'
import { personOf } from './person-of.js'

export type FinishSignIn = {
  /** The parameters that the provider answered with. */
  answer: URLSearchParams
  /** What the browser kept since it began. */
  browser: string
  userAgent: string | undefined
  requestId: string
}
export type FinishedSignIn = { userCode: string; token: string | null }

const Secrets = z.object({ nonce: z.string(), verifier: z.string() })

/** Takes the answer of a provider, once: opens a session, or links the identity to the person who began. */
export async function finishSignIn(deps: Deps, input: FinishSignIn): Promise<FinishedSignIn> {
  const state = input.answer.get('state') ?? ''
  const flow = await endFlow(deps, state, input.browser)
  const provider = await findProvider(deps, flow.providerId)
  const claims = await redeem(deps, provider, { ...flow, state, answer: input.answer })
  if (flow.userId !== null) {
    const { userId, sessionId } = flow
    await linkIdentity(deps, { provider, userId, sessionId, subject: claims.sub, requestId: input.requestId })
    return { userCode: flow.userCode, token: null }
  }
  const userId = await personOf(deps, { provider, claims, requestId: input.requestId })
  const { token } = await openSession(deps, {
    userId,
    client: 'page',
    method: 'identity-provider',
    onlyOrgId: provider.orgId,
    stillProven: (tx) => holdProvider(tx, provider),
    ...factorsOf(claims, deps.now()),
    userAgent: input.userAgent,
    requestId: input.requestId,
  })
  return { userCode: flow.userCode, token }
}

/** Deleted before anything else: an answer counts once, whatever comes of it. */
async function endFlow(deps: Deps, state: string, browser: string) {
  const stateHash = stateHashOf(deps, state)
  const isMine = and(
    eq(signInFlows.stateHash, stateHash),
    eq(signInFlows.browserHash, browserHashOf(deps, browser)),
    gt(signInFlows.expiresAt, deps.now()),
  )
  const [flow] = await withLookup(deps.db, stateHash, (tx) => tx.delete(signInFlows).where(isMine).returning())
  if (!flow) throw refused('this browser did not begin it, or its answer was taken before')
  const opened = openOwn(deps.pepper, FLOW_PURPOSE, stateHash, flow.sealedSecrets).toString('utf8')
  return { ...flow, ...Secrets.parse(JSON.parse(opened)) }
}

type Redeem = { nonce: string; verifier: string; state: string; answer: URLSearchParams }

/** What the provider says of the person. The library checks the protocol, `verifyIssuedToken` the signature. */
async function redeem(deps: Deps, provider: Provider, { nonce, verifier, state, answer }: Redeem): Promise<Issued> {
  const config = await openProvider(deps, provider)
  try {
    const tokens = await authorizationCodeGrant(config, new URL(`${redirectUriOf(deps)}?${answer.toString()}`), {
      pkceCodeVerifier: verifier,
      expectedState: state,
      expectedNonce: nonce,
      idTokenExpected: true,
    })
    const { issuer, clientId } = provider
    return await verifyIssuedToken(deps, tokens.id_token ?? '', { issuer, audience: clientId })
  } catch (error) {
    if (error instanceof Problem) throw error
    if (error instanceof TokenRefused) throw refused(`the provider's token does not count: ${error.message}`)
    if (error instanceof OutboundError) throw refused(error.message)
    // Not the error itself: the library keeps what was answered in it.
    const reason = error instanceof Error ? error.message : 'unknown'
    deps.log.info({ reason, provider: provider.id }, 'a sign-in through a provider was refused')
    throw refused(`${provider.name} did not confirm it`)
  }
}

/** RFC 8176: `mfa` says that several factors were used; when, says `auth_time`. The organization trusts its provider so far. */
function factorsOf(claims: Issued, now: Date): { twoFactor: boolean; secondFactorAt: Date | null } {
  const twoFactor = Array.isArray(claims['amr']) && claims['amr'].includes('mfa')
  const at = claims['auth_time']
  const isPast = typeof at === 'number' && at > 0 && at * 1000 <= now.getTime()
  return { twoFactor, secondFactorAt: twoFactor && isPast ? new Date(at * 1000) : null }
}

const refused = (why: string) =>
  new Problem('sign-in-refused', `The sign-in was refused: ${why.replace(/\.$/, '')}. Begin again.`)
