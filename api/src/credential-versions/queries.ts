import { builds, credentials, credentialVersions, jobs, type Transaction } from '@capstan/migrations'
import { and, asc, desc, eq, getTableColumns, isNull } from 'drizzle-orm'

import { Problem } from '../problems.js'
import type { StoredVersion } from './present-version.js'

export type CredentialPath = { appId: string; credentialId: string }
export type VersionPath = CredentialPath & { version: number }
export type CredentialRow = typeof credentials.$inferSelect

const { envelope: _envelope, ...shownColumns } = getTableColumns(credentialVersions)
export { shownColumns }

export async function requireCredentialRow(
  tx: Transaction,
  { appId, credentialId }: CredentialPath,
): Promise<CredentialRow> {
  const [found] = await tx.select().from(credentials).where(isCredential({ appId, credentialId }))
  if (found === undefined) throw new Problem('credential-not-found', 'This app has no such credential.')
  return found
}

/**
 * The credential, its row locked until the transaction ends. Every change of its versions begins here, and a build that
 * is requested holds the row against it: so a build has chosen a version before it was replaced, or chooses the new one.
 */
export async function lockCredential(tx: Transaction, path: CredentialPath): Promise<CredentialRow> {
  const [found] = await tx.select().from(credentials).where(isCredential(path)).for('update')
  if (found === undefined) throw new Problem('credential-not-found', 'This app has no such credential.')
  return found
}

/** Newest first. */
export function findVersions(tx: Transaction, credentialId: string): Promise<StoredVersion[]> {
  return tx
    .select(shownColumns)
    .from(credentialVersions)
    .where(eq(credentialVersions.credentialId, credentialId))
    .orderBy(desc(credentialVersions.version))
}

export async function requireVersion(tx: Transaction, { credentialId, version }: VersionPath): Promise<StoredVersion> {
  const [found] = await tx
    .select(shownColumns)
    .from(credentialVersions)
    .where(and(eq(credentialVersions.credentialId, credentialId), eq(credentialVersions.version, version)))
  if (found === undefined) {
    throw new Problem('credential-version-not-found', `This certificate has no version ${version}.`)
  }
  return found
}

export type UnfinishedBuild = { id: string; number: number; version: number | null; status: string }

/** Builds that sign, or will sign, with a credential; oldest first. */
export function findUnfinishedBuilds(
  tx: Transaction,
  credentialId: string,
  version?: number,
): Promise<UnfinishedBuild[]> {
  return tx
    .select({ id: builds.id, number: builds.number, version: builds.credentialVersion, status: jobs.status })
    .from(builds)
    .innerJoin(jobs, eq(jobs.buildId, builds.id))
    .where(
      and(
        eq(builds.credentialId, credentialId),
        isNull(jobs.finishedAt),
        version === undefined ? undefined : eq(builds.credentialVersion, version),
      ),
    )
    .orderBy(asc(builds.number))
}

function isCredential({ appId, credentialId }: CredentialPath) {
  return and(eq(credentials.id, credentialId), eq(credentials.appId, appId))
}
