import { apiTokens, type Transaction, withOrg } from '@capstan/migrations'
import { and, eq, isNull } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'

/** Takes effect with the next request. */
export async function revokeApiToken(ctx: Context, tokenId: string): Promise<void> {
  requireScope(ctx, 'tokens:write')
  await withOrg(ctx.db, ctx.orgId, async (tx) => {
    if (!(await endToken(tx, ctx, tokenId))) throw new Problem('not-found', 'There is no such live token.')
  })
}

/** Whether there was such a live one. */
export async function endToken(tx: Transaction, ctx: Context, tokenId: string): Promise<boolean> {
  const revoked = await tx
    .update(apiTokens)
    .set({ revokedAt: ctx.now() })
    .where(and(eq(apiTokens.id, tokenId), isNull(apiTokens.revokedAt)))
    .returning({ id: apiTokens.id })
  if (revoked.length === 0) return false
  await recordAudit(tx, ctx, { action: 'token.revoked', target: { token: tokenId } })
  return true
}
