import { apiTokens, type Transaction, withOrg } from '@capstan/migrations'
import { and, eq, gt, isNull } from 'drizzle-orm'
import { addSuccessor } from '../access-reviews/add-successor.js'
import { recordAudit } from '../audit/record-audit.js'
import { isScope, scopesOf } from '../auth/permissions.js'
import { createToken } from '../auth/tokens.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import { refuseForeignScopes, limitByParent } from './grant-scopes.js'
import { insertToken } from './create-token.js'
import { holdMembership } from './hold-membership.js'

const HOUR_MS = 60 * 60 * 1000

export type RotateApiToken = { tokenId: string; overlapHours: number }

/**
 * A new secret with what the old one may do, for as long as that one was made for. Both work during the overlap. Whoever
 * rotates learns the secret: so a personal token is rotated by its owner, a service token by who could have made it.
 */
export async function rotateApiToken(ctx: Context, input: RotateApiToken) {
  requireScope(ctx, 'tokens:write')
  const token = createToken('ca')
  const row = await withOrg(ctx.db, ctx.orgId, async (tx) => {
    await holdMembership(tx, ctx)
    const old = await lockToken(tx, ctx, input.tokenId)
    // A service token carries the id of who made it and no role: it is not that person.
    if (old.kind === 'personal' && (old.userId !== ctx.actor.id || !ctx.actor.role)) {
      throw new Problem('scope-not-yours', 'A personal token is rotated by the person it belongs to.')
    }
    const scopes = old.scopes?.filter(isScope) ?? [...(ctx.actor.role ? scopesOf(ctx.actor.role) : [])]
    refuseForeignScopes(ctx, scopes)
    const lifeMs = old.expiresAt.getTime() - old.createdAt.getTime()
    const wanted = { expiresAt: new Date(ctx.now().getTime() + lifeMs), cidrs: old.cidrs }
    const limits = await limitByParent(tx, ctx, wanted)
    const { name, kind, userId } = old
    const made = { name, kind, userId, scopes: old.scopes, replacesId: old.id, rotatedBy: ctx.actor.id, ...limits }
    const inserted = await insertToken(tx, ctx, token, made)
    if (kind === 'service') await addSuccessor(tx, ctx, inserted.id)
    const until = new Date(Math.min(old.expiresAt.getTime(), ctx.now().getTime() + input.overlapHours * HOUR_MS))
    await tx.update(apiTokens).set({ expiresAt: until }).where(eq(apiTokens.id, old.id))
    await recordAudit(tx, ctx, {
      action: 'token.rotated',
      target: { token: old.id, successor: inserted.id },
      data: { overlapHours: input.overlapHours },
    })
    return inserted
  })
  return { ...row, token }
}

/** Locked: of two rotations at once the second finds the successor of the first. */
async function lockToken(tx: Transaction, ctx: Context, tokenId: string) {
  const live = and(eq(apiTokens.id, tokenId), isNull(apiTokens.revokedAt), gt(apiTokens.expiresAt, ctx.now()))
  const [old] = await tx.select().from(apiTokens).where(live).for('update')
  if (!old) throw new Problem('not-found', 'There is no such live token.')
  const successors = await tx.$count(apiTokens, eq(apiTokens.replacesId, tokenId))
  if (successors > 0)
    throw new Problem('token-rotated', 'This token was rotated already. Rotate the one that replaced it.')
  return old
}
