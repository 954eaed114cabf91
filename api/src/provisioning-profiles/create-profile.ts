import { newId, provisioningProfiles, withOrg } from '@capstan/migrations'
import { and, eq, isNull } from 'drizzle-orm'

import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { requireCredential } from '../credentials/find-credentials.js'
import { cleanFileName } from '../credentials/prepare-version.js'
import { Problem } from '../problems.js'
import { checkProfileApp } from './check-profile-app.js'
import { checkProfile } from './check-profile.js'
import { shownColumns } from './find-profiles.js'
import { linkProfiles } from './link-profiles.js'
import type { StoredProfile } from './present-profile.js'

export type CreateProfile = {
  appId: string
  file: { name: string; bytes: Uint8Array }
  certificateId?: string | undefined
}

const MAX_FILE_BYTES = 512 * 1024

/** Takes a provisioning profile, which may come before the certificate that it is to be used with. */
export async function createProfile(
  ctx: Context,
  { appId, file, certificateId }: CreateProfile,
): Promise<StoredProfile> {
  requireScope(ctx, 'credentials:write')
  if (file.bytes.byteLength > MAX_FILE_BYTES) {
    throw new Problem(
      'credential-file-too-large',
      `file: a profile has ${MAX_FILE_BYTES} bytes at most; this is another file.`,
    )
  }
  if (certificateId !== undefined) {
    await withOrg(ctx.db, ctx.orgId, (tx) => requireCredential(tx, { appId }, certificateId))
  }
  const facts = await checkProfile(ctx.orgId, file.bytes, ctx.appleRoots)
  const createdBy = ctx.actor.type === 'user' ? ctx.actor.id : null
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    // The official CLI uploads profiles first: when the certificate is refused and it is run again, they come again.
    const same = and(
      eq(provisioningProfiles.appId, appId),
      eq(provisioningProfiles.content, Buffer.from(file.bytes)),
      isNull(provisioningProfiles.credentialId),
    )
    const [orphan] = await tx.select(shownColumns).from(provisioningProfiles).where(same).limit(1)
    await checkProfileApp(tx, appId, facts)
    const profile = orphan ?? (await insert())
    if (certificateId === undefined) return profile
    const [linked] = await linkProfiles(tx, ctx, { appId, ids: [profile.id], certificateId })
    return linked ?? profile

    async function insert(): Promise<StoredProfile> {
      const [inserted] = await tx
        .insert(provisioningProfiles)
        .values({
          id: newId(),
          orgId: ctx.orgId,
          appId,
          profileUuid: facts.uuid,
          name: facts.name,
          teamId: facts.teamId,
          applicationIdentifier: facts.applicationIdentifier,
          type: facts.type,
          certificateFingerprints: facts.certificateFingerprints,
          content: Buffer.from(file.bytes),
          fileName: cleanFileName(file.name),
          expiresAt: new Date(facts.expiresAt),
          facts,
          createdBy,
        })
        .returning(shownColumns)
      if (inserted === undefined) throw new Error('The provisioning profile was not inserted.')
      await recordAudit(tx, ctx, {
        action: 'profile.created',
        target: { app: appId, profile: inserted.id },
        data: { uuid: facts.uuid, team: facts.teamId, type: facts.type, target: facts.applicationIdentifier },
      })
      return inserted
    }
  })
}
