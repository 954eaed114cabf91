import { apiTokens, type Transaction } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { isScope, type Scope, sensitiveScopes } from '../auth/permissions.js'
import { requireStepUp } from '../auth/step-up.js'
import type { Context } from '../context.js'
import { Problem } from '../problems.js'

/**
 * The scopes of a new token: those asked for, never more than its creator has here; without a wish everything but what
 * is sensitive. What is sensitive is given only by a person with a fresh second factor.
 */
export function grantScopes(ctx: Context, wanted: readonly string[] | undefined): Scope[] {
  const own = ctx.actor.scopes ?? new Set<Scope>()
  if (!wanted) return [...own].filter((scope) => !sensitiveScopes.has(scope))
  const unknown = wanted.find((scope) => !isScope(scope))
  if (unknown !== undefined) throw new Problem('scope-unknown', `There is no scope "${unknown.slice(0, 60)}".`)
  const scopes = [...new Set(wanted.filter(isScope))]
  refuseForeignScopes(ctx, scopes)
  return scopes
}

/** Refuses to hand out what the caller does not have, or what is sensitive to a caller who did not just confirm it. */
export function refuseForeignScopes(ctx: Context, scopes: readonly Scope[]): void {
  const foreign = scopes.find((scope) => !ctx.actor.scopes?.has(scope))
  if (foreign)
    throw new Problem('scope-not-yours', `You do not have "${foreign}" yourself, so no token can get it from you.`)
  if (scopes.some((scope) => sensitiveScopes.has(scope))) requireStepUp(ctx.assurance, ctx.now())
}

export type Limits = { expiresAt: Date; cidrs: string[] | null }

/** What a token makes does not outlive it, and works from nowhere else. Held: whoever revokes it finds what it made. */
export async function limitByParent(tx: Transaction, ctx: Context, wanted: Limits): Promise<Limits> {
  if (ctx.actor.via?.type !== 'token') return wanted
  const [parent] = await tx.select().from(apiTokens).where(eq(apiTokens.id, ctx.actor.via.id)).for('share')
  if (!parent || parent.revokedAt) throw new Problem('token-invalid')
  if (parent.cidrs && wanted.cidrs && JSON.stringify(parent.cidrs) !== JSON.stringify(wanted.cidrs)) {
    throw new Problem(
      'scope-not-yours',
      'A token that is bound to networks gives on the same ones. Leave "cidrs" away.',
    )
  }
  return {
    expiresAt: wanted.expiresAt < parent.expiresAt ? wanted.expiresAt : parent.expiresAt,
    cidrs: parent.cidrs ?? wanted.cidrs,
  }
}
