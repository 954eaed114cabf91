import { credentialVersionStatuses } from '@capstan/migrations'
import type { credentialVersions } from '@capstan/migrations'
import { z } from '@hono/zod-openapi'

import { Id, Timestamp } from '../define-route.js'

/** Without the envelope: nothing that is shown has a use for it. */
export type StoredVersion = Omit<typeof credentialVersions.$inferSelect, 'envelope'>

export const CertificateVersion = z
  .object({
    certificateId: Id,
    version: z.number().int(),
    status: z.enum(credentialVersionStatuses),
    fileMimeType: z.string(),
    fileName: z.string(),
    fileSizeInBytes: z.number().int(),
    expiresAt: Timestamp.nullable(),
    keyAlias: z.string().nullable(),
    fingerprintSha256: z.string(),
    subject: z.string().nullable(),
    keyType: z.string().nullable(),
    keyBits: z.number().int().nullable(),
    warnings: z.array(z.string()),
    createdAt: Timestamp,
    createdBy: Id.nullable(),
    activatedAt: Timestamp.nullable(),
    retiredAt: Timestamp.nullable(),
    destroyedAt: Timestamp.nullable(),
  })
  .openapi('CertificateVersion')

const ShownFacts = z.object({
  subject: z.string().nullable().catch(null),
  keyType: z.string().nullable().catch(null),
  keyBits: z.number().int().nullable().catch(null),
  warnings: z.array(z.string()).catch([]),
})

export function presentVersion(version: StoredVersion): z.infer<typeof CertificateVersion> {
  const at = (time: Date | null) => time?.toISOString() ?? null
  return {
    certificateId: version.credentialId,
    version: version.version,
    status: version.status,
    fileMimeType: version.fileMimeType,
    fileName: version.fileName,
    fileSizeInBytes: version.fileSizeBytes,
    expiresAt: at(version.expiresAt),
    keyAlias: version.keyAlias,
    fingerprintSha256: version.fingerprintSha256,
    ...ShownFacts.parse(version.facts),
    createdAt: version.createdAt.toISOString(),
    createdBy: version.createdBy,
    activatedAt: at(version.activatedAt),
    retiredAt: at(version.retiredAt),
    destroyedAt: at(version.destroyedAt),
  }
}
