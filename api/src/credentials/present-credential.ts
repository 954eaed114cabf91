import { type CredentialKind, credentialKinds, type credentials, type credentialVersions } from '@capstan/migrations'
import { z } from '@hono/zod-openapi'

import { Id, Timestamp } from '../define-route.js'

export type StoredCredential = {
  credential: typeof credentials.$inferSelect
  /** Without the envelope: nothing that is shown has a use for it. */
  version: Omit<typeof credentialVersions.$inferSelect, 'envelope'>
}

export const platforms = ['android', 'ios', 'web'] as const
/** What the official CLI calls certificates, one kind a platform; keys of stores and of push services are not. */
export const certificateKindOf = {
  android: 'android.keystore',
  ios: 'apple.identity',
  web: 'web.signing-key',
} as const satisfies Record<(typeof platforms)[number], CredentialKind>
export const certificateKinds: readonly CredentialKind[] = Object.values(certificateKindOf)
export const types = ['development', 'production'] as const

/** The file and its passwords go in and never come out again. */
export const Certificate = z
  .object({
    id: Id,
    appId: Id,
    name: z.string(),
    nameLower: z.string(),
    platform: z.enum(platforms),
    type: z.enum(types),
    kind: z.enum(credentialKinds),
    version: z.number().int(),
    fileMimeType: z.string(),
    fileName: z.string(),
    fileSizeInBytes: z.number().int(),
    expiresAt: Timestamp.nullable(),
    keyAlias: z.string().nullable(),
    fingerprintSha256: z.string(),
    subject: z.string().nullable(),
    keyType: z.string().nullable(),
    keyBits: z.number().int().nullable(),
    teamId: z.string().nullable(),
    warnings: z.array(z.string()),
    createdAt: Timestamp,
    createdBy: Id.nullable(),
    updatedAt: Timestamp,
    updatedBy: Id.nullable(),
  })
  .openapi('Certificate')

const ShownFacts = z.object({
  subject: z.string().nullable().catch(null),
  keyType: z.string().nullable().catch(null),
  keyBits: z.number().int().nullable().catch(null),
  teamId: z.string().nullable().catch(null),
  warnings: z.array(z.string()).catch([]),
})

export function presentCredential({ credential, version }: StoredCredential): z.infer<typeof Certificate> {
  return {
    id: credential.id,
    appId: credential.appId,
    name: credential.name,
    nameLower: credential.nameLower,
    platform: credential.platform,
    type: credential.type,
    kind: credential.kind,
    version: version.version,
    fileMimeType: version.fileMimeType,
    fileName: version.fileName,
    fileSizeInBytes: version.fileSizeBytes,
    expiresAt: version.expiresAt?.toISOString() ?? null,
    keyAlias: version.keyAlias,
    fingerprintSha256: version.fingerprintSha256,
    ...ShownFacts.parse(version.facts),
    createdAt: credential.createdAt.toISOString(),
    createdBy: credential.createdBy,
    updatedAt: credential.updatedAt.toISOString(),
    updatedBy: credential.updatedBy,
  }
}
