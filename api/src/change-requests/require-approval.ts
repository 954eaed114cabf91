import { changeRequests, type Transaction, withOrg } from '@capstan/migrations'
import { and, desc, eq, sql } from 'drizzle-orm'
import type { Context } from '../context.js'
import { Problem, type ProblemCode } from '../problems.js'
import { type Change, contentOf, hashContent } from './change.js'
import { fileRequest, type Filed } from './file-request.js'
import { isApprovalStanding } from './is-approval-standing.js'
import { type ChangeRequest, findPolicy } from './queries.js'
import { refuseFrozen } from './refuse-frozen.js'
import { rootsOf } from './roots.js'
import { voidRequest } from './void-request.js'

/** The consent to a change; without `requestId` the organization asks for none. `spendApproval` uses it up. */
export type Approval = { contentHash: string; requestId: string | null; change: Change }

type Outcome = { requestId: string | null } | { refusal: ProblemCode; filed: Filed }

/**
 * Asked before the transaction that makes a guarded change. Where nobody has approved exactly this, the refusal files the
 * request for it: once somebody has approved that, the same call goes through.
 */
export async function requireApproval(ctx: Context, change: Change): Promise<Approval> {
  const contentHash = hashContent(contentOf(ctx.orgId, change))
  const outcome = await withOrg(ctx.db, ctx.orgId, (tx) => seekApproval(tx, ctx, change, contentHash))
  if ('requestId' in outcome) return { contentHash, change, requestId: outcome.requestId }
  throw explainRefusal(ctx, outcome)
}

/** Commits what it files, also when the answer is a refusal. */
async function seekApproval(tx: Transaction, ctx: Context, change: Change, contentHash: string): Promise<Outcome> {
  const policy = await findPolicy(tx, ctx.orgId)
  if (!policy.enabled) return { requestId: null }
  if (isReleased(change)) await refuseFrozen(tx, change.subject.app)
  const approved = await findApproved(tx, ctx, contentHash)
  if (approved && (await isApprovalStanding(tx, approved, ctx.now()))) return { requestId: approved.id }
  if (approved) {
    await voidRequest(tx, ctx, approved, 'The approval had expired, or its approver may not approve any more.')
  }
  const filed = await fileRequest(tx, ctx, change)
  return { refusal: approved ? 'approval-lapsed' : filed.replaced ? 'approval-stale' : 'approval-needed', filed }
}

/** Changes of what devices get. */
const isReleased = ({ action }: { action: string }): boolean => /^(deployment|rollout)\./.test(action)

/** One's own request before one that somebody else made for the same change. */
async function findApproved(tx: Transaction, ctx: Context, contentHash: string): Promise<ChangeRequest | null> {
  const own = `{${(await rootsOf(tx, ctx.actor)).join(',')}}`
  const [approved] = await tx
    .select()
    .from(changeRequests)
    .where(and(eq(changeRequests.contentHash, contentHash), eq(changeRequests.state, 'approved')))
    .orderBy(desc(sql`${changeRequests.submitterRoots} && ${own}::uuid[]`), changeRequests.id)
    .limit(1)
  return approved ?? null
}

const reasons: Partial<Record<ProblemCode, string>> = {
  'approval-needed': "This needs a second person's approval.",
  'approval-stale': 'This is not what was approved, so the approval does not count for it.',
  'approval-lapsed': 'The approval has expired, or its approver may not approve any more.',
}

function explainRefusal(ctx: Context, { refusal, filed: { request } }: Extract<Outcome, { filed: Filed }>): Problem {
  const path = `/v1/organizations/${ctx.orgId}/change-requests/${request.id}/approve`
  return new Problem(
    refusal,
    `${reasons[refusal] ?? ''} Change request ${request.id} asks for it: have an approver, admin or owner who is not you approve it (POST ${new URL(path, ctx.publicUrl).href}), then do the same again.`,
  )
}
