import { accessReviewItems, memberships, roleGrants, type Transaction, withOrg } from '@capstan/migrations'
import { and, eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { namesOf } from '../grants/create-grant.js'
import { takeBackGrant } from '../grants/delete-grant.js'
import { setRole } from '../members/change-role.js'
import { lockMemberships } from '../members/keep-an-owner.js'
import { refuseEscalation } from '../members/refuse-escalation.js'
import { Problem } from '../problems.js'
import { leaveTeam } from '../teams/change-team-members.js'
import { endToken } from '../tokens/revoke-token.js'
import { requireReview } from './list-reviews.js'

export type ReviewItem = typeof accessReviewItems.$inferSelect
export type DecideItem = { reviewId: string; itemId: string; decision: 'attested' | 'revoked' }

/** Says that somebody still needs what they have, or takes it back at once. An attestation may be taken back too. */
export async function decideItem(ctx: Context, { reviewId, itemId, decision }: DecideItem): Promise<ReviewItem> {
  requireScope(ctx, 'members:write')
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    await lockMemberships(tx, ctx.orgId)
    const item = await lockItem(tx, ctx, { reviewId, itemId })
    if (decision === 'revoked') await takeBack(tx, ctx, item)
    const [decided] = await tx
      .update(accessReviewItems)
      .set({ decision, decidedBy: ctx.actor.id, decidedAt: ctx.now() })
      .where(eq(accessReviewItems.id, item.id))
      .returning()
    if (!decided) throw new Error('The item of the review was not updated.')
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
  if (item.userId === ctx.actor.id) {
    throw new Problem('review-own', 'Nobody reviews their own access. Somebody else who may change members does.')
  }
  return item
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

export function targetOfItem(item: ReviewItem): Record<string, string> {
  const { reviewId, userId, teamId, grantId, tokenId, appId, channelId } = item
  return namesOf({
    review: reviewId,
    user: userId,
    team: teamId,
    grant: grantId,
    token: tokenId,
    app: appId,
    channel: channelId,
  })
}
