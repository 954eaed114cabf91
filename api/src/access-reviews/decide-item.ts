import {
  accessReviewItems,
  apiTokens,
  memberships,
  roleGrants,
  teamMembers,
  type Transaction,
  withOrg,
} from '@capstan/migrations'
import { and, eq, sql } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { takeBackGrant } from '../grants/delete-grant.js'
import { setRole } from '../members/change-role.js'
import { lockMemberships } from '../members/keep-an-owner.js'
import { refuseEscalation } from '../members/refuse-escalation.js'
import { Problem } from '../problems.js'
import { leaveTeam } from '../teams/change-team-members.js'
import { endToken } from '../tokens/revoke-token.js'
import { requireReview } from './list-reviews.js'
import { type ReviewItem, targetOfItem } from './reopen-item.js'

export type DecideItem = { reviewId: string; itemId: string; decision: 'attested' | 'revoked' }

/** Says that somebody still needs what they have, or takes it back at once. An attestation may be taken back too. */
export async function decideItem(ctx: Context, { reviewId, itemId, decision }: DecideItem): Promise<ReviewItem> {
  requireScope(ctx, 'members:write')
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    await lockMemberships(tx, ctx.orgId)
    const item = await lockItem(tx, ctx, { reviewId, itemId })
    const [decided] = await tx
      .update(accessReviewItems)
      .set({ decision, decidedBy: ctx.actor.id, decidedAt: ctx.now() })
      .where(eq(accessReviewItems.id, item.id))
      .returning()
    if (!decided) throw new Error('The item of the review was not updated.')
    // After it: a role that changes while its item is open reopens the item.
    if (decision === 'revoked') await takeBack(tx, ctx, item)
    await recordAudit(tx, ctx, { action: `access_review.${decision}`, target: targetOfItem(item) })
    return decided
  })
}

async function lockItem(tx: Transaction, ctx: Context, key: { reviewId: string; itemId: string }): Promise<ReviewItem> {
  const review = await requireReview(tx, key.reviewId)
  const [item] = await tx
    .select()
    .from(accessReviewItems)
    .where(and(eq(accessReviewItems.id, key.itemId), eq(accessReviewItems.reviewId, key.reviewId)))
    .for('update')
  if (!item) throw new Problem('not-found', 'The review has no such item.')
  if (review.closedAt || review.dueAt <= ctx.now() || (item.decision !== null && item.decision !== 'attested')) {
    throw new Problem('review-closed', 'This is decided, or the deadline of the review has passed.')
  }
  if (await isOwn(tx, ctx, item)) {
    throw new Problem('review-own', 'Nobody reviews their own access. Somebody else who may change members does.')
  }
  return item
}

/** Whether it is access of the person who decides: by name, by way of a team, or behind a token. */
async function isOwn(tx: Transaction, ctx: Context, { userId, teamId, tokenId }: ReviewItem): Promise<boolean> {
  if (userId !== null) return userId === ctx.actor.id
  if (teamId !== null) {
    const isTheirs = and(eq(teamMembers.teamId, teamId), eq(teamMembers.userId, ctx.actor.id))
    return (await tx.$count(teamMembers, isTheirs)) > 0
  }
  if (tokenId === null) return false
  const isBehind = sql`${ctx.actor.id}::uuid = any(principal_roots(${apiTokens.userId}, 'token', ${apiTokens.id}))`
  return (await tx.$count(apiTokens, and(eq(apiTokens.id, tokenId), isBehind))) > 0
}

/** What is gone already stays gone. */
async function takeBack(tx: Transaction, ctx: Context, item: ReviewItem): Promise<void> {
  if (item.kind === 'grant') {
    if (item.grantId) await takeBackGrant(tx, ctx, eq(roleGrants.id, item.grantId))
  } else if (item.kind === 'service-token') {
    if (item.tokenId) await endToken(tx, ctx, item.tokenId)
  } else if (item.kind === 'team-member') {
    if (item.teamId && item.userId) await leaveTeam(tx, ctx, { teamId: item.teamId, userId: item.userId })
  } else if (item.userId) {
    const [membership] = await tx.select().from(memberships).where(eq(memberships.userId, item.userId))
    if (!membership) return
    refuseEscalation(ctx, membership.role)
    await setRole(tx, ctx, { membership, role: 'none', approval: null })
  }
}
