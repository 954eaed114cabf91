import {
  credentialVersions,
  credentialVersionStatuses,
  credentialVersionTransitions,
  type CredentialVersionStatus,
  type Transaction,
} from '@capstan/migrations'
import { and, eq, inArray } from 'drizzle-orm'

import { Problem } from '../problems.js'
import type { StoredVersion } from './present-version.js'
import { shownColumns } from './queries.js'

export type VersionChange = Partial<
  Pick<typeof credentialVersions.$inferInsert, 'activatedAt' | 'retiredAt' | 'destroyedAt' | 'envelope'>
>

/** Statuses from which a version may become `to`. */
function sourcesOf(to: CredentialVersionStatus): CredentialVersionStatus[] {
  const table: Record<CredentialVersionStatus, readonly CredentialVersionStatus[]> = credentialVersionTransitions
  return credentialVersionStatuses.filter((from) => table[from].includes(to))
}

/** One conditional UPDATE; refuses a version that may not become `to` from where it is. */
export async function moveVersion(
  tx: Transaction,
  { id, version, status }: StoredVersion,
  to: CredentialVersionStatus,
  change: VersionChange = {},
): Promise<StoredVersion> {
  const [moved] = await tx
    .update(credentialVersions)
    .set({ status: to, ...change })
    .where(and(eq(credentialVersions.id, id), inArray(credentialVersions.status, sourcesOf(to))))
    .returning(shownColumns)
  if (moved === undefined) {
    throw new Problem('credential-version-refused', `Version ${version} is ${status}; from there it cannot be ${to}.`)
  }
  return moved
}
