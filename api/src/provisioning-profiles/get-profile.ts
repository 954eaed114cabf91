import { withOrg } from '@capstan/migrations'

import { type Context, requireScope } from '../context.js'
import { requireProfile } from './find-profiles.js'
import type { StoredProfile } from './present-profile.js'

export type ProfilePath = { appId: string; profileId: string }

export async function getProfile(ctx: Context, { appId, profileId }: ProfilePath): Promise<StoredProfile> {
  requireScope(ctx, 'credentials:read')
  return withOrg(ctx.db, ctx.orgId, (tx) => requireProfile(tx, appId, profileId))
}
