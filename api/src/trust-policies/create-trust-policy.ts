import { newId, trustPolicies, withOrg } from '@capstan/migrations'
import { recordAudit } from '../audit/record-audit.js'
import { acceptNetworks } from '../auth/client-address.js'
import { sensitiveScopes } from '../auth/permissions.js'
import { type Context, requireScope } from '../context.js'
import { checkIssuer } from '../openid/check-issuer.js'
import { Problem } from '../problems.js'
import { grantScopes } from '../tokens/grant-scopes.js'
import { holdMembership } from '../tokens/hold-membership.js'
import { acceptClaims } from './accept-claims.js'

export type CreateTrustPolicy = {
  name: string
  issuer: string
  audience?: string | undefined
  claims: Readonly<Record<string, string | readonly string[]>>
  scopes: readonly string[]
  cidrs?: readonly string[] | undefined
  tokenMinutes: number
}

const MOST = 200

/**
 * Lets jobs of a CI service get tokens of this organization. Whoever makes the policy answers for those tokens: they
 * have no more than this person has at the time, and none once the person is gone: their policies go with them.
 */
export async function createTrustPolicy(ctx: Context, input: CreateTrustPolicy) {
  requireScope(ctx, 'tokens:write')
  if (ctx.actor.type !== 'user' || ctx.actor.via?.type !== 'session') {
    throw new Problem('session-needed', 'A trust policy outlives tokens. Sign in with a session to make one.')
  }
  const scopes = grantScopes(ctx, input.scopes)
  const sensitive = scopes.find((scope) => sensitiveScopes.has(scope))
  if (sensitive)
    throw new Problem('trust-policy-invalid', `No CI job gets "${sensitive}": with it a job could give itself more.`)
  const issuer = checkIssuer(input.issuer, ctx.outboundPrivateHosts)
  const values = {
    name: input.name,
    issuer,
    audience: input.audience ?? ctx.publicUrl,
    claims: acceptClaims(issuer, input.claims),
    scopes,
    cidrs: input.cidrs ? acceptNetworks(input.cidrs) : null,
    tokenSeconds: input.tokenMinutes * 60,
  }
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    await holdMembership(tx, ctx)
    if ((await tx.$count(trustPolicies)) >= MOST) {
      throw new Problem('trust-policy-invalid', `An organization has at most ${MOST} trust policies. Delete one first.`)
    }
    const [row] = await tx
      .insert(trustPolicies)
      .values({ id: newId(), orgId: ctx.orgId, createdBy: ctx.actor.id, createdAt: ctx.now(), ...values })
      .returning()
    if (!row) throw new Error('The trust policy was not inserted.')
    const { audience, claims, cidrs } = row
    await recordAudit(tx, ctx, {
      action: 'trust-policy.created',
      target: { trustPolicy: row.id },
      data: { issuer, audience, scopes },
      personal: { claims, cidrs },
    })
    return row
  })
}
