import type { provisioningProfiles } from '@capstan/migrations'
import { z } from '@hono/zod-openapi'

import { Id, Timestamp } from '../define-route.js'

/** Without the content: what is shown has no use for it. */
export type StoredProfile = Omit<typeof provisioningProfiles.$inferSelect, 'content'>

export const profileTypes = ['development', 'ad-hoc', 'app-store', 'enterprise'] as const

export const ProvisioningProfile = z
  .object({
    id: Id,
    appId: Id,
    appCertificateId: Id.nullable(),
    uuid: z.string(),
    name: z.string(),
    teamId: z.string(),
    applicationIdentifier: z.string(),
    type: z.enum(profileTypes),
    certificateFingerprints: z.array(z.string()),
    platforms: z.array(z.string()),
    deviceCount: z.number().int(),
    isXcodeManaged: z.boolean(),
    fileName: z.string(),
    expiresAt: Timestamp,
    createdAt: Timestamp,
    createdBy: Id.nullable(),
    updatedAt: Timestamp,
  })
  .openapi('ProvisioningProfile')

const ShownFacts = z.object({
  platforms: z.array(z.string()).catch([]),
  deviceCount: z.number().int().catch(0),
  isXcodeManaged: z.boolean().catch(false),
})

export function presentProfile(profile: StoredProfile): z.infer<typeof ProvisioningProfile> {
  return {
    id: profile.id,
    appId: profile.appId,
    appCertificateId: profile.credentialId,
    uuid: profile.profileUuid,
    name: profile.name,
    teamId: profile.teamId,
    applicationIdentifier: profile.applicationIdentifier,
    type: profile.type,
    certificateFingerprints: profile.certificateFingerprints,
    ...ShownFacts.parse(profile.facts),
    fileName: profile.fileName,
    expiresAt: profile.expiresAt.toISOString(),
    createdAt: profile.createdAt.toISOString(),
    createdBy: profile.createdBy,
    updatedAt: profile.updatedAt.toISOString(),
  }
}
