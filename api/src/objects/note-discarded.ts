import { discardedObjects, newId, type Transaction } from '@capstan/migrations'

/**
 * Belongs into the transaction that removes the rows: the control process removes what is still there of these objects.
 * A key that ends in a slash stands for everything below it.
 */
export async function noteDiscarded(tx: Transaction, orgId: string, keys: readonly string[]): Promise<void> {
  if (keys.length === 0) return
  await tx.insert(discardedObjects).values(keys.map((key) => ({ id: newId(), orgId, key })))
}
