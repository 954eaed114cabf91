import { type Transaction, withOrg } from '@capstan/migrations'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import { endTokens, madeThrough } from './end-tokens.js'

/** Takes effect with the next request, also for what was made through the token. */
export async function revokeApiToken(ctx: Context, tokenId: string): Promise<void> {
  requireScope(ctx, 'tokens:write')
  await withOrg(ctx.db, ctx.orgId, async (tx) => {
    if (!(await endToken(tx, ctx, tokenId))) throw new Problem('not-found', 'There is no such live token.')
  })
}

/** Whether there was such a live one, or one that was made through it. */
export async function endToken(tx: Transaction, ctx: Context, tokenId: string): Promise<boolean> {
  const ended = await endTokens(tx, madeThrough(tokenId), ctx.now())
  for (const id of ended) {
    const data = id === tokenId ? {} : { madeThrough: tokenId }
    await recordAudit(tx, ctx, { action: 'token.revoked', target: { token: id }, data })
  }
  return ended.length > 0
}
