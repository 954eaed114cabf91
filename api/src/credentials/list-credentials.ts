import { type CredentialKind, credentials, withOrg } from '@capstan/migrations'
import { and, eq, ilike } from 'drizzle-orm'

import { type Context, requireScope } from '../context.js'
import { findCredentials } from './find-credentials.js'
import { certificateKinds, type platforms, type StoredCredential, type types } from './present-credential.js'

export type ListCredentials = {
  appId: string
  kinds?: readonly CredentialKind[]
  name?: string | undefined
  platform?: (typeof platforms)[number] | undefined
  type?: (typeof types)[number] | undefined
  query?: string | undefined
  limit: number
  offset: number
}

/** Newest first. `name` matches whole, without regard to case, as names are unique; `query` matches a part. */
export async function listCredentials(ctx: Context, input: ListCredentials): Promise<StoredCredential[]> {
  requireScope(ctx, 'credentials:read')
  const { appId, kinds = certificateKinds, name, platform, type, query } = input
  const pattern = query === undefined ? undefined : `%${query.replaceAll(/[\\%_]/g, String.raw`\$&`)}%`
  const condition = and(
    name === undefined ? undefined : eq(credentials.nameLower, name.toLowerCase()),
    platform === undefined ? undefined : eq(credentials.platform, platform),
    type === undefined ? undefined : eq(credentials.type, type),
    pattern === undefined ? undefined : ilike(credentials.name, pattern),
  )
  return withOrg(ctx.db, ctx.orgId, (tx) => findCredentials(tx, { appId, kinds }, condition, input))
}
