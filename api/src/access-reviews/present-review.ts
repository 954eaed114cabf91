import {
  type accessReviewItems,
  type accessReviews,
  reviewDecisions,
  reviewItemKinds,
  roles,
} from '@capstan/migrations'
import { z } from '@hono/zod-openapi'
import { Id, Timestamp } from '../define-route.js'

export const AccessReview = z
  .object({
    id: Id,
    organizationId: Id,
    dueAt: Timestamp,
    closedAt: Timestamp.nullable(),
    createdAt: Timestamp,
  })
  .openapi('AccessReview')

export const AccessReviewItem = z
  .object({
    id: Id,
    reviewId: Id,
    /** A role in the organization, a grant of a person or a team, that a person is in a team, or a token of its own. */
    kind: z.enum(reviewItemKinds),
    userId: Id.nullable(),
    teamId: Id.nullable(),
    grantId: Id.nullable(),
    tokenId: Id.nullable(),
    role: z.enum(roles).nullable(),
    appId: Id.nullable(),
    appChannelId: Id.nullable(),
    /** When the review began; null: never. That somebody is in a team has no use of its own. */
    lastUsedAt: Timestamp.nullable(),
    decision: z.enum(reviewDecisions).nullable(),
    decidedBy: Id.nullable(),
    decidedAt: Timestamp.nullable(),
  })
  .openapi('AccessReviewItem')

export function presentReview(row: typeof accessReviews.$inferSelect): z.infer<typeof AccessReview> {
  return {
    id: row.id,
    organizationId: row.orgId,
    dueAt: row.dueAt.toISOString(),
    closedAt: row.closedAt?.toISOString() ?? null,
    createdAt: row.createdAt.toISOString(),
  }
}

export function presentItem(row: typeof accessReviewItems.$inferSelect): z.infer<typeof AccessReviewItem> {
  const { id, reviewId, kind, userId, teamId, grantId, tokenId, role, appId, decision, decidedBy } = row
  return {
    id,
    reviewId,
    kind,
    userId,
    teamId,
    grantId,
    tokenId,
    role,
    appId,
    appChannelId: row.channelId,
    lastUsedAt: row.lastUsedAt?.toISOString() ?? null,
    decision,
    decidedBy,
    decidedAt: row.decidedAt?.toISOString() ?? null,
  }
}
