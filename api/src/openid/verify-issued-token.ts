import { errors, type JWTPayload, jwtVerify } from 'jose'
import type { Deps } from '../context.js'
import { Problem } from '../problems.js'

/** Signatures only: nothing unsigned, and nothing keyed with what the issuer shows everybody. */
const ALGORITHMS = ['RS256', 'ES256', 'EdDSA']
const CLOCK_SECONDS = 30
const LONGEST_LIFE_SECONDS = 24 * 60 * 60

export type Issued = JWTPayload & { sub: string; exp: number; iat: number }

/** Why a foreign token does not count, as a sentence for whoever sent it. */
export class TokenRefused extends Error {
  override name = 'TokenRefused' as const
}

/**
 * The claims of a token that this issuer signed for this audience alone and that has not expired.
 *
 * @throws {TokenRefused}
 */
export async function verifyIssuedToken(
  { issuers, now }: Pick<Deps, 'issuers' | 'now'>,
  token: string,
  { issuer, audience }: { issuer: string; audience: string },
): Promise<Issued> {
  const { keys } = await issuers.find(issuer)
  try {
    const { payload } = await jwtVerify(token, keys, {
      issuer,
      audience,
      algorithms: ALGORITHMS,
      requiredClaims: ['sub', 'exp', 'iat'],
      currentDate: now(),
      clockTolerance: CLOCK_SECONDS,
    })
    return requireBounds(payload as Issued, now(), audience)
  } catch (error) {
    if (error instanceof Problem || error instanceof TokenRefused) throw error
    if (error instanceof errors.JWTExpired) throw new TokenRefused('it has expired')
    if (error instanceof errors.JWTClaimValidationFailed) {
      throw new TokenRefused(
        `its claim "${error.claim}" is ${error.reason === 'missing' ? 'missing' : 'not the right one'}`,
      )
    }
    if (error instanceof errors.JOSEError && !(error instanceof errors.JWKSTimeout)) {
      throw new TokenRefused('it is not signed by its issuer with RS256, ES256 or EdDSA')
    }
    throw new Problem('issuer-unavailable', `The keys of ${issuer} cannot be read now. Try again in a moment.`)
  }
}

function requireBounds(payload: Issued, now: Date, audience: string): Issued {
  const seconds = now.getTime() / 1000
  if (payload.iat > seconds + CLOCK_SECONDS) throw new TokenRefused('it was issued in the future')
  if (payload.exp > seconds + LONGEST_LIFE_SECONDS) throw new TokenRefused('it is valid for more than a day')
  if (typeof payload.sub !== 'string' || payload.sub === '' || payload.sub.length > 500) {
    throw new TokenRefused('its subject cannot be read')
  }
  // What is meant for others as well, others could present.
  if ([payload.aud].flat().length !== 1) throw new TokenRefused(`it is not for ${audience} alone`)
  return payload
}
