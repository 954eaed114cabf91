import { accessReviewItems, accessReviews, type Role, type Transaction } from '@capstan/migrations'
import { and, eq, gt, inArray, isNull, or, type SQL } from 'drizzle-orm'
import { namesOf } from '../audit/names-of.js'
import { recordAudit } from '../audit/record-audit.js'
import type { Context } from '../context.js'

export type ReviewItem = typeof accessReviewItems.$inferSelect

/** In the transaction that changes a role: what was attested was another one, so somebody looks again by the deadline. */
export async function reopenItem(
  tx: Transaction,
  ctx: Context,
  { match, role }: { match: SQL; role: Role },
): Promise<void> {
  const open = tx
    .select({ id: accessReviews.id })
    .from(accessReviews)
    .where(and(isNull(accessReviews.closedAt), gt(accessReviews.dueAt, ctx.now())))
  const isOpen = or(isNull(accessReviewItems.decision), eq(accessReviewItems.decision, 'attested'))
  const items = await tx
    .select()
    .from(accessReviewItems)
    .where(and(match, isOpen, inArray(accessReviewItems.reviewId, open)))
    .for('update')
  for (const item of items) {
    await tx
      .update(accessReviewItems)
      .set({ role, decision: null, decidedBy: null, decidedAt: null })
      .where(eq(accessReviewItems.id, item.id))
    if (item.decision === null) continue
    const data = { from: item.role, to: role }
    await recordAudit(tx, ctx, { action: 'access_review.reopened', target: targetOfItem(item), data })
  }
}

/** The item of a role in the organization. */
export const itemOfMember = (userId: string): SQL =>
  and(eq(accessReviewItems.kind, 'membership'), eq(accessReviewItems.userId, userId)) as SQL

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
