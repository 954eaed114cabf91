import { identityProviders, type joinRoles, newId, withOrg } from '@capstan/migrations'
import { recordAudit } from '../audit/record-audit.js'
import { sealOwn } from '../auth/identity-keys.js'
import { type Context, requireScope } from '../context.js'
import { checkIssuer } from '../openid/check-issuer.js'
import { Problem } from '../problems.js'

export type CreateIdentityProvider = {
  name: string
  issuer: string
  clientId: string
  clientSecret?: string | undefined
  joinRole: (typeof joinRoles)[number] | null
}

const MOST = 20
export const SECRET_PURPOSE = 'identity-provider-secret'

/**
 * A provider through which people of this organization sign in. The client secret is needed with every sign-in, so this
 * process can open it: it is sealed under the pepper, which no database holds, and not by the broker.
 */
export async function createIdentityProvider(ctx: Context, input: CreateIdentityProvider) {
  requireScope(ctx, 'policies:write')
  const issuer = checkIssuer(input.issuer, ctx.outboundPrivateHosts)
  const { metadata } = await ctx.issuers.find(issuer)
  if (!metadata.authorization_endpoint || !metadata.token_endpoint) {
    throw new Problem(
      'identity-provider-invalid',
      `${issuer} signs nobody in: it names no authorization and token endpoint.`,
    )
  }
  const id = newId()
  const { name, clientId, clientSecret, joinRole } = input
  const sealedSecret = clientSecret ? sealOwn(ctx.pepper, SECRET_PURPOSE, id, Buffer.from(clientSecret)) : null
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    if ((await tx.$count(identityProviders)) >= MOST) {
      throw new Problem('identity-provider-invalid', `An organization has at most ${MOST} identity providers.`)
    }
    const [row] = await tx
      .insert(identityProviders)
      .values({ id, orgId: ctx.orgId, name, issuer, clientId, sealedSecret, joinRole, createdAt: ctx.now() })
      .returning()
    if (!row) throw new Error('The identity provider was not inserted.')
    await recordAudit(tx, ctx, {
      action: 'identity-provider.created',
      target: { identityProvider: id },
      data: { issuer, clientId, joinRole },
    })
    return row
  })
}
