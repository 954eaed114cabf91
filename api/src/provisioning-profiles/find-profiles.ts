import { provisioningProfiles, type Transaction } from '@capstan/migrations'
import { and, desc, eq, getTableColumns, type SQL } from 'drizzle-orm'

import { Problem } from '../problems.js'
import type { StoredProfile } from './present-profile.js'

const { content: _content, ...shownColumns } = getTableColumns(provisioningProfiles)
export { shownColumns }

type Page = { limit: number; offset: number }

/** Newest first. */
export function findProfiles(
  tx: Transaction,
  appId: string,
  condition: SQL | undefined,
  { limit, offset }: Page,
): Promise<StoredProfile[]> {
  return tx
    .select(shownColumns)
    .from(provisioningProfiles)
    .where(and(eq(provisioningProfiles.appId, appId), condition))
    .orderBy(desc(provisioningProfiles.id))
    .limit(limit)
    .offset(offset)
}

export async function requireProfile(tx: Transaction, appId: string, id: string): Promise<StoredProfile> {
  const [found] = await findProfiles(tx, appId, eq(provisioningProfiles.id, id), { limit: 1, offset: 0 })
  if (found === undefined) throw new Problem('profile-not-found', 'This app has no such provisioning profile.')
  return found
}
