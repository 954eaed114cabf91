import { accessReviewItems, accessReviews, type Transaction, withOrg } from '@capstan/migrations'
import { and, asc, desc, eq, isNull } from 'drizzle-orm'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import type { AccessReview } from './create-review.js'

type Page = { limit: number; offset: number }

/** Newest first. */
export async function listReviews(ctx: Context, { limit, offset }: Page): Promise<AccessReview[]> {
  requireScope(ctx, 'access:read')
  return withOrg(ctx.db, ctx.orgId, (tx) =>
    tx.select().from(accessReviews).orderBy(desc(accessReviews.id)).limit(limit).offset(offset),
  )
}

export type ListItems = Page & { reviewId: string; undecided: boolean }

/** What there is to be decided, or was. */
export async function listItems(ctx: Context, { reviewId, undecided, limit, offset }: ListItems) {
  requireScope(ctx, 'access:read')
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    await requireReview(tx, reviewId)
    return tx
      .select()
      .from(accessReviewItems)
      .where(and(eq(accessReviewItems.reviewId, reviewId), undecided ? isNull(accessReviewItems.decision) : undefined))
      .orderBy(asc(accessReviewItems.id))
      .limit(limit)
      .offset(offset)
  })
}

export async function requireReview(tx: Transaction, reviewId: string): Promise<AccessReview> {
  const [review] = await tx.select().from(accessReviews).where(eq(accessReviews.id, reviewId))
  if (!review) throw new Problem('not-found', 'The organization has no such review.')
  return review
}
