import { type CredentialKind, withOrg } from '@capstan/migrations'

import { type Context, requireScope } from '../context.js'
import { requireCredential } from './find-credentials.js'
import type { StoredCredential } from './present-credential.js'

export type CredentialPath = { appId: string; credentialId: string; kinds?: readonly CredentialKind[] }

export async function getCredential(ctx: Context, path: CredentialPath): Promise<StoredCredential> {
  requireScope(ctx, 'credentials:read')
  return withOrg(ctx.db, ctx.orgId, (tx) => requireCredential(tx, path, path.credentialId))
}
