import { accessReviewItems, accessReviews, newId, type Transaction } from '@capstan/migrations'
import { isNull } from 'drizzle-orm'
import type { Context } from '../context.js'

/**
 * In the transaction that replaced a service token: an open review covers the successor too. Nobody has attested that one:
 * whoever rotated it learned its secret.
 */
export async function addSuccessor(tx: Transaction, { orgId }: Context, tokenId: string): Promise<void> {
  const [open] = await tx.select({ id: accessReviews.id }).from(accessReviews).where(isNull(accessReviews.closedAt))
  if (!open) return
  await tx.insert(accessReviewItems).values({ id: newId(), orgId, reviewId: open.id, kind: 'service-token', tokenId })
}
