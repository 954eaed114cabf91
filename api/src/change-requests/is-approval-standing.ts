import type { Transaction } from '@capstan/migrations'
import { sql } from 'drizzle-orm'
import { type ChangeRequest, findPolicy } from './queries.js'

/** Whether an approval still counts: it has not expired, and everybody behind it still may approve. */
export async function isApprovalStanding(tx: Transaction, request: ChangeRequest, now: Date): Promise<boolean> {
  if (request.approvalExpiresAt === null || request.approvalExpiresAt <= now) return false
  if (request.exception) {
    const { soleOperatorSince, soleOperatorUntil } = await findPolicy(tx, request.orgId)
    if (soleOperatorUntil === null || soleOperatorUntil <= now) return false
    // What was given under an exception ended with it, also when there is another one by now.
    if (soleOperatorSince === null || request.approvedAt === null || request.approvedAt < soleOperatorSince)
      return false
  }
  const [row] = await tx.execute<{ standing: boolean }>(sql`
    select not exists (
      select 1 from change_request_steps s, unnest(s.roots) person
      where s.change_request_id = ${request.id} and s.step = 'approved'
        and person not in (select approvers_of(s.org_id))) as standing`)
  return row?.standing ?? false
}
