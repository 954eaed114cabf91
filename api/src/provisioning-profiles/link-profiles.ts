import { provisioningProfiles, type Transaction, withOrg } from '@capstan/migrations'
import { and, eq, inArray } from 'drizzle-orm'

import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { findVersions } from '../credential-versions/queries.js'
import { requireCredential } from '../credentials/find-credentials.js'
import { Problem } from '../problems.js'
import { checkProfileApp } from './check-profile-app.js'
import { checkOneType, checkProfileFits } from './check-profile-set.js'
import { shownColumns } from './find-profiles.js'
import type { StoredProfile } from './present-profile.js'

export type LinkProfiles = {
  appId: string
  ids: readonly string[]
  /** Null: they belong to no certificate any more. */
  certificateId: string | null
}

/** Links profiles to a certificate, or unlinks them: all of them or none. */
export async function updateProfiles(ctx: Context, input: LinkProfiles): Promise<StoredProfile[]> {
  requireScope(ctx, 'credentials:write')
  return withOrg(ctx.db, ctx.orgId, (tx) => linkProfiles(tx, ctx, input))
}

/** The same inside a transaction of the caller. */
export async function linkProfiles(
  tx: Transaction,
  ctx: Context,
  { appId, ids, certificateId }: LinkProfiles,
): Promise<StoredProfile[]> {
  const wanted = and(eq(provisioningProfiles.appId, appId), inArray(provisioningProfiles.id, [...ids]))
  const profiles = await tx.select(shownColumns).from(provisioningProfiles).where(wanted).for('update')
  const missing = ids.find((id) => !profiles.some((profile) => profile.id === id))
  if (missing !== undefined)
    throw new Problem('profile-not-found', `ids: this app has no provisioning profile ${missing}.`)
  if (certificateId !== null) {
    const stored = await requireCredential(tx, { appId }, certificateId)
    const beside = await tx
      .select(shownColumns)
      .from(provisioningProfiles)
      .where(eq(provisioningProfiles.credentialId, certificateId))
    // A renewed profile takes the place of the one for the same target, also for the comparison of types.
    const targets = new Set(profiles.map(({ applicationIdentifier }) => applicationIdentifier))
    const others = beside.filter(({ applicationIdentifier }) => !targets.has(applicationIdentifier))
    const versions = await findVersions(tx, certificateId)
    for (const profile of profiles) {
      await checkProfileApp(tx, appId, profile)
      // A profile may come while the version that it names is not active yet.
      const named = versions.find(
        ({ status, fingerprintSha256 }) =>
          status !== 'destroyed' && profile.certificateFingerprints.includes(fingerprintSha256),
      )
      checkProfileFits({ ...stored, version: named ?? stored.version }, profile)
    }
    checkOneType(stored.credential.name, [...profiles, ...others])
  }
  const linked = await tx
    .update(provisioningProfiles)
    .set({ credentialId: certificateId, updatedAt: ctx.now() })
    .where(wanted)
    .returning(shownColumns)
  await recordAudit(tx, ctx, {
    action: certificateId === null ? 'profile.unlinked' : 'profile.linked',
    target: { app: appId, ...(certificateId === null ? {} : { credential: certificateId }) },
    data: { profiles: [...ids] },
  })
  return linked
}
