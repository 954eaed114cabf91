import { Problem } from '../problems.js'

/** Claims by which these services name a repository or its owner for good; names can be given to somebody else. */
const immutableClaims: Record<string, readonly string[]> = {
  'token.actions.githubusercontent.com': ['repository_id', 'repository_owner_id'],
  'gitlab.com': ['project_id', 'namespace_id'],
}
/** Judged for every policy, or different in every token. */
const reserved = ['iss', 'aud', 'exp', 'nbf', 'iat', 'jti']
const CLAIM = /^[A-Za-z][\w.:/-]{0,199}$/

/**
 * What a token must say, claim by claim, as it is kept: exact values only. Whoever may write workflows anywhere at a CI
 * service gets tokens for any audience, so a claim that is theirs alone must be among them.
 */
export function acceptClaims(
  issuer: string,
  wanted: Readonly<Record<string, string | readonly string[]>>,
): Record<string, string[]> {
  const claims = Object.entries(wanted).map(([name, value]): [string, string[]] => [name, [...new Set([value].flat())]])
  for (const [name, values] of claims) {
    if (!CLAIM.test(name) || reserved.includes(name)) throw invalid(`"${name.slice(0, 60)}" is no claim to ask for.`)
    if (values.some((value) => value.includes('*'))) {
      throw invalid(`Values are compared as they are: write each value of "${name}" out, without "*".`)
    }
  }
  const needed = immutableClaims[new URL(issuer).hostname]
  const named = claims.filter(([name]) => needed?.includes(name))
  if (needed && named.length === 0) {
    throw invalid(`Name ${needed.join(' or ')}: tokens of this issuer go to everybody, and names change hands.`)
  }
  const text = named.find(([, values]) => values.some((value) => !/^\d{1,20}$/.test(value)))
  if (text) throw invalid(`"${text[0]}" is a number. Names are not taken, because they change hands.`)
  if (claims.length === 0) throw invalid('Name at least one claim that only your own tokens have.')
  return Object.fromEntries(claims)
}

const invalid = (sentence: string) => new Problem('trust-policy-invalid', sentence)
