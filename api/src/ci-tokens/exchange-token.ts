import { createHash } from 'node:crypto'
import { memberships, trustPolicies, type Transaction, withLookup, withOrg } from '@capstan/migrations'
import { and, eq, isNull } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { networkOf, networksOf } from '../auth/client-address.js'
import { isScope, type Scope, scopesOf } from '../auth/permissions.js'
import { spendOnce } from '../auth/spend-once.js'
import { createToken } from '../auth/tokens.js'
import type { Context, Deps } from '../context.js'
import { limitRate } from '../limit-rate.js'
import { type Issued, TokenRefused, verifyIssuedToken } from '../openid/verify-issued-token.js'
import { Problem } from '../problems.js'
import { insertToken } from '../tokens/create-token.js'

type Policy = typeof trustPolicies.$inferSelect

export type ExchangeToken = { trustPolicyId: string; subjectToken: string; address: string | null; requestId: string }
export type Exchanged = { token: string; seconds: number; scopes: Scope[] }

const admitNetwork = limitRate({ burst: 60, perSecond: 1 })
const admitPolicy = limitRate({ burst: 100, perSecond: 2 })
/** A token is refused for its age only after the tolerance for clocks. */
const REMEMBER_MS = 60_000

/** A short-lived token for the job whose token the policy trusts. Each foreign token is exchanged once. */
export async function exchangeToken(deps: Deps, input: ExchangeToken): Promise<Exchanged> {
  if (!admitNetwork(networkOf(input.address), deps.now())) throw tooMany('from your network')
  const policy = await findPolicy(deps, input.trustPolicyId)
  if (policy.cidrs && !networksOf(policy.cidrs).includes(input.address)) {
    throw new Problem('address-not-allowed', 'This trust policy is not used from your network address.')
  }
  const claims = await verify(deps, policy, input.subjectToken)
  // Only what is signed counts: a stranger who knows the id of a policy must not use its share up.
  if (!admitPolicy(policy.id, deps.now())) throw tooMany('for this trust policy')
  const ctx = contextOf(deps, policy, input.requestId)
  const expiresAt = new Date(claims.exp * 1000 + REMEMBER_MS)
  if (!(await spendOnce(deps, 'ci-token', idOf(policy.issuer, claims, input.subjectToken), expiresAt))) {
    await withOrg(deps.db, policy.orgId, (tx) =>
      recordAudit(tx, ctx, {
        action: 'ci-token.refused',
        target: { trustPolicy: policy.id },
        outcome: 'refused',
        data: { reason: 'exchanged-before' },
      }),
    )
    throw refused('it was exchanged before. Ask the CI service for a new one')
  }
  return issue(ctx, policy, claims)
}

async function findPolicy(deps: Deps, id: string): Promise<Policy> {
  const [policy] = await withLookup(deps.db, id, (tx) =>
    tx.select().from(trustPolicies).where(eq(trustPolicies.id, id)),
  )
  if (!policy) throw new Problem('not-found', 'There is no such trust policy.')
  return policy
}

async function verify(deps: Deps, policy: Policy, token: string): Promise<Issued> {
  try {
    const claims = await verifyIssuedToken(deps, token, policy)
    const other = Object.entries(policy.claims).find(([name, values]) => !values.includes(textOf(claims, name)))
    if (other) throw new TokenRefused(`its claim "${other[0]}" is not one that the trust policy names`)
    return claims
  } catch (error) {
    if (error instanceof TokenRefused) throw refused(error.message)
    throw error
  }
}

/** Of one kind only, so that nothing is equal that is written differently; anything else equals no value. */
function textOf(claims: Issued, name: string): string {
  const value = Object.hasOwn(claims, name) ? claims[name] : undefined
  if (typeof value === 'string') return value
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : ''
}

/** Without an id of its own, a token is known by what was signed: signatures of the same can be written in two ways. */
function idOf(issuer: string, { jti }: Issued, token: string): string {
  if (typeof jti === 'string' && jti !== '') return JSON.stringify([issuer, 'jti', jti])
  const signed = token.slice(0, token.lastIndexOf('.'))
  return JSON.stringify([issuer, 'sha256', createHash('sha256').update(signed).digest('hex')])
}

/** The token stands for itself; behind it is who made the policy. */
function contextOf(deps: Deps, { id, orgId, createdBy }: Policy, requestId: string): Context {
  return { ...deps, orgId, requestId, actor: { type: 'user', id: createdBy, via: { type: 'trust-policy', id } } }
}

async function issue(ctx: Context, policy: Policy, claims: Issued): Promise<Exchanged> {
  const token = createToken('ca')
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const [live] = await tx
      .update(trustPolicies)
      .set({ lastUsedAt: ctx.now() })
      .where(eq(trustPolicies.id, policy.id))
      .returning({ id: trustPolicies.id })
    if (!live) throw new Problem('not-found', 'There is no such trust policy.')
    const scopes = await scopesNow(tx, policy)
    const row = await insertToken(tx, ctx, token, {
      name: `CI: ${policy.name}`.slice(0, 200),
      kind: 'service',
      scopes,
      cidrs: policy.cidrs,
      expiresAt: new Date(ctx.now().getTime() + policy.tokenSeconds * 1000),
      trustPolicyId: policy.id,
    })
    await recordAudit(tx, ctx, {
      action: 'ci-token.issued',
      target: { token: row.id, trustPolicy: policy.id },
      data: { issuer: policy.issuer, scopes, jti: textOf(claims, 'jti') },
      personal: { claims: matched(policy, claims) },
    })
    return { token, seconds: policy.tokenSeconds, scopes }
  })
}

const matched = (policy: Policy, claims: Issued): Record<string, string> =>
  Object.fromEntries(Object.keys(policy.claims).map((name) => [name, textOf(claims, name)]))

/**
 * What the maker of the policy still has of what it names, by the role in the organization. Held until the token is
 * there: whoever removes the maker at the same moment finds it.
 */
async function scopesNow(tx: Transaction, policy: Policy): Promise<Scope[]> {
  const [maker] = await tx
    .select({ role: memberships.role })
    .from(memberships)
    .where(and(eq(memberships.userId, policy.createdBy), isNull(memberships.suspendedAt)))
    .for('share')
  const scopes = maker ? policy.scopes.filter(isScope).filter((scope) => scopesOf(maker.role).has(scope)) : []
  if (scopes.length > 0) return scopes
  throw refused('whoever made the trust policy may not do any of this now. Have it made anew')
}

const refused = (why: string) => new Problem('token-exchange-refused', `The token was not exchanged: ${why}.`)
const tooMany = (where: string) =>
  new Problem('too-many-requests', `Too many tokens are exchanged ${where}. Try again in a minute.`)
