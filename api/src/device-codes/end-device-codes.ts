import { deviceCodes, type Transaction } from '@capstan/migrations'
import { and, eq, type SQL } from 'drizzle-orm'

/** What was confirmed and not fetched yet is worth nothing any more: a code outlives no session that could have given it. */
export async function endDeviceCodes(tx: Transaction, whose: SQL): Promise<void> {
  await tx
    .update(deviceCodes)
    .set({ state: 'denied' })
    .where(and(whose, eq(deviceCodes.state, 'approved')))
}
