import { apiTokens, withOrg } from '@capstan/migrations'
import { and, eq, isNull } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'

/** Takes effect with the next request. */
export async function revokeApiToken(ctx: Context, tokenId: string): Promise<void> {
  requireScope(ctx, 'tokens:write')
  await withOrg(ctx.db, ctx.orgId, async (tx) => {
    const revoked = await tx
      .update(apiTokens)
      .set({ revokedAt: ctx.now() })
      .where(and(eq(apiTokens.id, tokenId), isNull(apiTokens.revokedAt)))
      .returning({ id: apiTokens.id })
    if (revoked.length === 0) throw new Problem('not-found', 'There is no such live token.')
    await recordAudit(tx, ctx, { action: 'token.revoked', target: { token: tokenId } })
  })
}
