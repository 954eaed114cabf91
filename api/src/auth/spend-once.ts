import { spentValues, withLookup } from '@capstan/migrations'
import type { Deps } from '../context.js'
import { digestOwn } from './identity-keys.js'

/**
 * True for the first who presents a value, false for everybody after: also at the same moment, and in another process.
 * Remembered until `expiresAt`, when the value must be refused for its age.
 */
export async function spendOnce(deps: Deps, purpose: string, value: string, expiresAt: Date): Promise<boolean> {
  const hash = digestOwn(deps.pepper, `spent/${purpose}`, value)
  const rows = await withLookup(deps.db, hash, (tx) =>
    tx.insert(spentValues).values({ hash, expiresAt }).onConflictDoNothing().returning({ hash: spentValues.hash }),
  )
  return rows.length === 1
}
