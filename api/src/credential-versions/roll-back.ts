import { withOrg } from '@capstan/migrations'

import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import { activateVersion } from './activate-version.js'
import type { StoredVersion } from './present-version.js'
import { type CredentialPath, findVersions, requireCredentialRow } from './queries.js'

export type RollBack = CredentialPath & { expectedActiveVersion: number | null }

/** Makes the version active that was so last before the present one, if its key still exists. */
export async function rollBack(ctx: Context, input: RollBack): Promise<StoredVersion> {
  requireScope(ctx, 'credentials:write')
  const previous = await withOrg(ctx.db, ctx.orgId, async (tx) => {
    const credential = await requireCredentialRow(tx, input)
    const versions = await findVersions(tx, credential.id)
    return findPrevious(versions)
  })
  if (previous === undefined) {
    throw new Problem(
      'credential-rollback-impossible',
      'There is no earlier version to go back to: none was active before, or its key is destroyed.',
    )
  }
  return activateVersion(ctx, { ...input, version: previous.version }, 'credential.rolled_back')
}

function findPrevious(versions: StoredVersion[]): StoredVersion | undefined {
  const started = ({ activatedAt, createdAt }: StoredVersion) => (activatedAt ?? createdAt).getTime()
  return versions
    .filter(({ status }) => status === 'retiring' || status === 'retired')
    .toSorted((a, b) => started(b) - started(a))[0]
}
