import { provisioningProfiles, withOrg } from '@capstan/migrations'
import { and, eq } from 'drizzle-orm'

import { type Context, requireScope } from '../context.js'
import { findProfiles } from './find-profiles.js'
import type { profileTypes, StoredProfile } from './present-profile.js'

export type ListProfiles = {
  appId: string
  appCertificateId?: string | undefined
  type?: (typeof profileTypes)[number] | undefined
  limit: number
  offset: number
}

export async function listProfiles(ctx: Context, input: ListProfiles): Promise<StoredProfile[]> {
  requireScope(ctx, 'credentials:read')
  const { appId, appCertificateId, type } = input
  const condition = and(
    appCertificateId === undefined ? undefined : eq(provisioningProfiles.credentialId, appCertificateId),
    type === undefined ? undefined : eq(provisioningProfiles.type, type),
  )
  return withOrg(ctx.db, ctx.orgId, (tx) => findProfiles(tx, appId, condition, input))
}
