import {
  accessReviewItems,
  accessReviews,
  apiTokens,
  memberships,
  newId,
  roleGrants,
  teamMembers,
  type Transaction,
  withOrg,
} from '@capstan/migrations'
import { and, eq, gt, isNull, ne } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { lockMemberships } from '../members/keep-an-owner.js'
import { Problem } from '../problems.js'

const DAY_MS = 24 * 60 * 60_000
const SHORTEST_DAYS = 1
const LONGEST_DAYS = 366
/** Far below what one statement can take. */
const ROWS_AT_ONCE = 500

export type AccessReview = typeof accessReviews.$inferSelect
type NewItem = typeof accessReviewItems.$inferInsert

/**
 * Lists what everybody may do now. What is not attested by then is suspended by the control process: with a deadline that
 * leaves nobody the time to attest, an administrator could suspend the owners.
 */
export async function createReview(ctx: Context, { dueAt }: { dueAt: Date }): Promise<AccessReview> {
  requireScope(ctx, 'members:write')
  const aheadMs = dueAt.getTime() - ctx.now().getTime()
  if (aheadMs < SHORTEST_DAYS * DAY_MS || aheadMs > LONGEST_DAYS * DAY_MS) {
    throw new Problem('request-invalid', 'dueAt: name a time at least a day and at most a year ahead.')
  }
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    // Against tokens that are being made: each holds the organization, and is listed here or finds this review.
    await lockMemberships(tx, ctx.orgId)
    const values = { id: newId(), orgId: ctx.orgId, dueAt, createdBy: ctx.actor.id, createdAt: ctx.now() }
    const [review] = await tx.insert(accessReviews).values(values).onConflictDoNothing().returning()
    if (!review)
      throw new Problem('review-open', 'A review is open. It ends at its deadline; decide what is left in it.')
    const items = await itemsOf(tx, review)
    for (let at = 0; at < items.length; at += ROWS_AT_ONCE) {
      await tx.insert(accessReviewItems).values(items.slice(at, at + ROWS_AT_ONCE))
    }
    await recordAudit(tx, ctx, {
      action: 'access_review.created',
      target: { review: review.id },
      data: { dueAt: dueAt.toISOString(), items: items.length },
    })
    return review
  })
}

async function itemsOf(tx: Transaction, { id: reviewId, orgId, createdAt }: AccessReview): Promise<NewItem[]> {
  const own = { orgId, reviewId }
  const roles = await tx
    .select()
    .from(memberships)
    .where(and(isNull(memberships.suspendedAt), ne(memberships.role, 'none')))
  const grants = await tx.select().from(roleGrants).where(isNull(roleGrants.suspendedAt))
  // Those of CI jobs last for minutes, and are made anew only while the maker of their policy still has a role.
  const isLive = and(isNull(apiTokens.revokedAt), gt(apiTokens.expiresAt, createdAt), isNull(apiTokens.trustPolicyId))
  const tokens = await tx
    .select({ tokenId: apiTokens.id, lastUsedAt: apiTokens.lastUsedAt })
    .from(apiTokens)
    .where(and(eq(apiTokens.kind, 'service'), isLive))
  const inTeams = await tx.select().from(teamMembers).where(isNull(teamMembers.suspendedAt))
  return [
    ...roles.map(({ userId, role, lastUsedAt }): NewItem => {
      return { id: newId(), ...own, kind: 'membership', userId, role, lastUsedAt }
    }),
    ...grants.map(({ id: grantId, userId, teamId, role, appId, channelId, lastUsedAt }): NewItem => {
      return { id: newId(), ...own, kind: 'grant', grantId, userId, teamId, role, appId, channelId, lastUsedAt }
    }),
    ...inTeams.map(({ teamId, userId }): NewItem => ({ id: newId(), ...own, kind: 'team-member', teamId, userId })),
    ...tokens.map((token): NewItem => ({ id: newId(), ...own, kind: 'service-token', ...token })),
  ]
}
