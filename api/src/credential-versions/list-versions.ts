import { withOrg } from '@capstan/migrations'

import { type Context, requireScope } from '../context.js'
import type { StoredVersion } from './present-version.js'
import { type CredentialPath, findVersions, requireCredentialRow } from './queries.js'

/** Newest first, also those that are retired or destroyed. */
export async function listVersions(ctx: Context, path: CredentialPath): Promise<StoredVersion[]> {
  requireScope(ctx, 'credentials:read')
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const { id } = await requireCredentialRow(tx, path)
    return findVersions(tx, id)
  })
}
