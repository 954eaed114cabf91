import { apiTokens, newId, withOrg, type Transaction } from '@capstan/migrations'
import { recordAudit } from '../audit/record-audit.js'
import { createToken, hashToken } from '../auth/tokens.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'

const DAY_MS = 24 * 60 * 60 * 1000

export type CreateApiToken = { name: string; expiresInDays: number }

/** An API token that acts as its creator in this one organization. The token itself is in this answer only. */
export async function createApiToken(ctx: Context, input: CreateApiToken) {
  requireScope(ctx, 'tokens:write')
  if (ctx.actor.type !== 'user') throw new Problem('permission-missing')
  const token = createToken('ca')
  const values = {
    id: newId(),
    orgId: ctx.orgId,
    userId: ctx.actor.id,
    name: input.name,
    tokenHash: hashToken(ctx.pepper, token),
    lastFour: token.slice(-4),
    expiresAt: new Date(ctx.now().getTime() + input.expiresInDays * DAY_MS),
  }
  const row = await withOrg(ctx.db, ctx.orgId, async (tx) => {
    const inserted = await insertToken(tx, values)
    await recordAudit(tx, ctx, { action: 'token.created', target: { token: values.id } })
    return inserted
  })
  return { ...row, token }
}

async function insertToken(tx: Transaction, values: typeof apiTokens.$inferInsert) {
  const [row] = await tx.insert(apiTokens).values(values).returning()
  if (!row) throw new Error('The token was not inserted.')
  return row
}
