import { apps, type Transaction } from '@capstan/migrations'
import { eq, sql } from 'drizzle-orm'
import { Problem } from '../problems.js'

/** The app's next build number: one UPDATE, so that two builds at once never get the same. */
export async function takeBuildNumber(tx: Transaction, appId: string): Promise<number> {
  const [row] = await tx
    .update(apps)
    .set({ nextBuildNumber: sql`${apps.nextBuildNumber} + 1` })
    .where(eq(apps.id, appId))
    .returning({ next: apps.nextBuildNumber })
  if (!row) throw new Problem('not-found')
  return row.next - 1
}
