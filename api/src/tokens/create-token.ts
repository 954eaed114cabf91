import { type apiTokenKinds, apiTokens, newId, withOrg, type Transaction } from '@capstan/migrations'
import { recordAudit } from '../audit/record-audit.js'
import { acceptNetworks } from '../auth/client-address.js'
import { createToken, hashToken } from '../auth/tokens.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import { grantScopes, limitByParent } from './grant-scopes.js'
import { holdMembership } from './hold-membership.js'

const DAY_MS = 24 * 60 * 60 * 1000

export type CreateApiToken = {
  name: string
  expiresInDays: number
  kind: (typeof apiTokenKinds)[number]
  scopes?: readonly string[] | undefined
  cidrs?: readonly string[] | undefined
}

/**
 * An API token for this one organization. A personal one acts as its creator and ends with the membership; a service
 * one stands for itself. The token itself is in this answer only.
 */
export async function createApiToken(ctx: Context, input: CreateApiToken) {
  requireScope(ctx, 'tokens:write')
  if (ctx.actor.type !== 'user') throw new Problem('permission-missing')
  const scopes = grantScopes(ctx, input.scopes)
  const token = createToken('ca')
  const row = await withOrg(ctx.db, ctx.orgId, async (tx) => {
    await holdMembership(tx, ctx)
    const limits = await limitByParent(tx, ctx, {
      expiresAt: new Date(ctx.now().getTime() + input.expiresInDays * DAY_MS),
      cidrs: input.cidrs ? acceptNetworks(input.cidrs) : null,
    })
    const { name, kind } = input
    const inserted = await insertToken(tx, ctx, token, { name, kind, scopes, ...limits })
    await recordAudit(tx, ctx, { action: 'token.created', target: { token: inserted.id }, data: { kind, scopes } })
    return inserted
  })
  return { ...row, token }
}

type NewToken = Pick<typeof apiTokens.$inferInsert, 'name' | 'kind' | 'scopes' | 'cidrs' | 'expiresAt'> &
  Partial<Pick<typeof apiTokens.$inferInsert, 'userId' | 'replacesId' | 'rotatedBy' | 'trustPolicyId'>>

export async function insertToken(tx: Transaction, ctx: Context, token: string, values: NewToken) {
  const [row] = await tx
    .insert(apiTokens)
    .values({
      id: newId(),
      orgId: ctx.orgId,
      userId: ctx.actor.id,
      createdThrough: ctx.actor.via?.type === 'token' ? ctx.actor.via.id : null,
      tokenHash: hashToken(ctx.pepper, token),
      lastFour: token.slice(-4),
      createdAt: ctx.now(),
      ...values,
    })
    .returning()
  if (!row) throw new Error('The token was not inserted.')
  return row
}
