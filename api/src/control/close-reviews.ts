import {
  accessReviewItems,
  accessReviews,
  memberships,
  newId,
  organizations,
  roleGrants,
  teamMembers,
  type Transaction,
  withOrg,
} from '@capstan/migrations'
import { and, asc, desc, eq, inArray, isNull, lte, sql } from 'drizzle-orm'
import { type ReviewItem, targetOfItem } from '../access-reviews/reopen-item.js'
import { recordAudit } from '../audit/record-audit.js'
import { endTokens, madeThrough } from '../tokens/end-tokens.js'
import type { ControlDeps } from './control-deps.js'

type Due = { id: string; orgId: string }

/** At the deadline of a review: suspends what nobody attested, but for one owner. A service token is revoked. */
export async function closeReviews(deps: ControlDeps): Promise<number> {
  const due = await deps.db
    .select({ id: accessReviews.id, orgId: accessReviews.orgId })
    .from(accessReviews)
    .where(and(isNull(accessReviews.closedAt), lte(accessReviews.dueAt, deps.now())))
  for (const review of due) {
    const onFailure = (err: unknown) => deps.log.error({ err, ...review }, 'a review of access could not be closed')
    await closeReview(deps, review).catch(onFailure)
  }
  return due.length
}

async function closeReview(deps: ControlDeps, { id, orgId }: Due): Promise<void> {
  await withOrg(deps.db, orgId, async (tx) => {
    // The lock under which owners are changed: the one who is kept is still there when this is over.
    const isLive = and(eq(organizations.id, orgId), isNull(organizations.terminatingAt))
    const [live] = await tx.select({ id: organizations.id }).from(organizations).where(isLive).for('no key update')
    const isOpen = and(eq(accessReviews.id, id), isNull(accessReviews.closedAt))
    const [review] = await tx.select().from(accessReviews).where(isOpen).for('no key update')
    if (!live || !review) return
    const kept = await ownerToKeep(tx, id)
    const by = { orgId, actor: { type: 'system', id: 'control' } as const, requestId: newId() }
    let suspended = 0
    for (const item of await undecidedItems(tx, id)) {
      const keeps = item.kind === 'membership' && item.userId === kept
      const decision = keeps ? 'kept' : 'suspended'
      await tx
        .update(accessReviewItems)
        .set({ decision, decidedAt: deps.now() })
        .where(eq(accessReviewItems.id, item.id))
      if (keeps || !(await suspend(tx, item, deps.now()))) continue
      suspended += 1
      const data = { kind: item.kind, ...(item.role ? { role: item.role } : {}) }
      await recordAudit(tx, by, { action: 'access_review.suspended', target: targetOfItem(item), data })
    }
    await tx.update(accessReviews).set({ closedAt: deps.now() }).where(eq(accessReviews.id, id))
    await recordAudit(tx, by, { action: 'access_review.closed', target: { review: id }, data: { suspended } })
  })
}

function undecidedItems(tx: Transaction, reviewId: string): Promise<ReviewItem[]> {
  return tx
    .select()
    .from(accessReviewItems)
    .where(and(eq(accessReviewItems.reviewId, reviewId), isNull(accessReviewItems.decision)))
    .orderBy(asc(accessReviewItems.id))
    .for('update')
}

/** Where every owner would be suspended, the one whose role was used last. */
async function ownerToKeep(tx: Transaction, reviewId: string): Promise<string | null> {
  const owners = await tx
    .select({ userId: memberships.userId })
    .from(memberships)
    .where(and(eq(memberships.role, 'owner'), isNull(memberships.suspendedAt)))
    .orderBy(sql`${desc(memberships.lastUsedAt)} nulls last`, asc(memberships.createdAt), asc(memberships.userId))
  const ids = owners.map(({ userId }) => userId)
  const isDoomed = and(
    eq(accessReviewItems.reviewId, reviewId),
    eq(accessReviewItems.kind, 'membership'),
    isNull(accessReviewItems.decision),
    inArray(accessReviewItems.userId, ids),
  )
  const doomed = await tx.$count(accessReviewItems, isDoomed)
  return doomed < ids.length ? null : (ids[0] ?? null)
}

/** Whether there was something left to suspend. Whoever is gone and came back is suspended too: nobody attested them. */
async function suspend(tx: Transaction, item: ReviewItem, suspendedAt: Date): Promise<boolean> {
  const { kind, grantId, teamId, userId, tokenId } = item
  if (kind === 'grant' && grantId) {
    const match = and(eq(roleGrants.id, grantId), isNull(roleGrants.suspendedAt))
    return (await tx.update(roleGrants).set({ suspendedAt }).where(match).returning({ id: roleGrants.id })).length > 0
  }
  if (kind === 'team-member' && teamId && userId) {
    const isTheirs = and(eq(teamMembers.teamId, teamId), eq(teamMembers.userId, userId))
    const rows = tx
      .update(teamMembers)
      .set({ suspendedAt })
      .where(and(isTheirs, isNull(teamMembers.suspendedAt)))
    return (await rows.returning({ id: teamMembers.userId })).length > 0
  }
  if (kind === 'service-token' && tokenId) {
    return (await endTokens(tx, madeThrough(tokenId), suspendedAt)).length > 0
  }
  if (kind !== 'membership' || !userId) throw new Error('The item of the review names nothing.')
  const isTheirs = and(eq(memberships.userId, userId), isNull(memberships.suspendedAt))
  const rows = tx.update(memberships).set({ suspendedAt }).where(isTheirs)
  return (await rows.returning({ id: memberships.userId })).length > 0
}
