import { type CredentialKind, credentials, credentialVersions, type Transaction } from '@capstan/migrations'
import { and, desc, eq, getTableColumns, inArray, type SQL } from 'drizzle-orm'

import { Problem } from '../problems.js'
import { certificateKinds, type StoredCredential } from './present-credential.js'

const { envelope: _envelope, ...shownColumns } = getTableColumns(credentialVersions)

type Page = { limit: number; offset: number }

type Scope = { appId: string; kinds: readonly CredentialKind[] }

/** Credentials of an app with their current versions, newest first. */
export function findCredentials(
  tx: Transaction,
  { appId, kinds }: Scope,
  condition: SQL | undefined,
  { limit, offset }: Page,
): Promise<StoredCredential[]> {
  return tx
    .select({ credential: credentials, version: shownColumns })
    .from(credentials)
    .innerJoin(
      credentialVersions,
      and(
        eq(credentialVersions.credentialId, credentials.id),
        eq(credentialVersions.version, credentials.currentVersion),
      ),
    )
    .where(and(eq(credentials.appId, appId), inArray(credentials.kind, [...kinds]), condition))
    .orderBy(desc(credentials.id))
    .limit(limit)
    .offset(offset)
}

export async function requireCredential(
  tx: Transaction,
  { appId, kinds = certificateKinds }: { appId: string; kinds?: readonly CredentialKind[] },
  id: string,
): Promise<StoredCredential> {
  const [found] = await findCredentials(tx, { appId, kinds }, eq(credentials.id, id), { limit: 1, offset: 0 })
  if (found === undefined) throw new Problem('credential-not-found', 'This app has no such credential.')
  return found
}
