import { changeRequests, type Transaction } from '@capstan/migrations'
import { and, eq, inArray } from 'drizzle-orm'
import { Problem } from '../problems.js'
import { doneStates } from './queries.js'

/** The request whose reading found something else than was approved, for as long as that is so. */
export async function findMismatch(tx: Transaction, appId: string): Promise<string | null> {
  const [found] = await tx
    .select({ id: changeRequests.id })
    .from(changeRequests)
    .where(
      and(
        eq(changeRequests.appId, appId),
        eq(changeRequests.verdict, 'mismatch'),
        inArray(changeRequests.state, [...doneStates]),
      ),
    )
    .limit(1)
  return found?.id ?? null
}

/** Nothing more is rolled out of an app whose channel is not what was approved; going back always is possible. */
export async function refuseFrozen(tx: Transaction, appId: string | undefined): Promise<void> {
  const id = appId === undefined ? null : await findMismatch(tx, appId)
  if (id === null) return
  throw new Problem(
    'rollouts-frozen',
    `What devices get is not what change request ${id} approved, so nothing more of this app is rolled out. Put it right (narrow it, or go back), and have that approved.`,
  )
}
