import { provisioningProfiles, withOrg } from '@capstan/migrations'
import { eq } from 'drizzle-orm'

import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { requireProfile } from './find-profiles.js'
import type { ProfilePath } from './get-profile.js'

/** Deletes a profile. It is no secret and can be downloaded again, so nothing else is asked. */
export async function deleteProfile(ctx: Context, { appId, profileId }: ProfilePath): Promise<void> {
  requireScope(ctx, 'credentials:write')
  await withOrg(ctx.db, ctx.orgId, async (tx) => {
    const profile = await requireProfile(tx, appId, profileId)
    await tx.delete(provisioningProfiles).where(eq(provisioningProfiles.id, profile.id))
    await recordAudit(tx, ctx, {
      action: 'profile.deleted',
      target: { app: appId, profile: profile.id },
      data: { uuid: profile.profileUuid },
    })
  })
}
