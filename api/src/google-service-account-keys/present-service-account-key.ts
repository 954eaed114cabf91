import type { CredentialKind } from '@capstan/migrations'
import { z } from '@hono/zod-openapi'

import type { StoredCredential } from '../credentials/present-credential.js'
import { Id, Timestamp } from '../define-route.js'

export const serviceAccountKinds: readonly CredentialKind[] = ['google.service-account']

export const GoogleServiceAccountKey = z
  .object({
    id: Id,
    appId: Id,
    name: z.string(),
    clientEmail: z.string(),
    projectId: z.string().nullable(),
    privateKeyId: z.string().nullable(),
    fingerprintSha256: z.string(),
    fileName: z.string(),
    version: z.number().int(),
    createdAt: Timestamp,
    createdBy: Id.nullable(),
  })
  .openapi('GoogleServiceAccountKey')

const AccountFacts = z.object({
  clientEmail: z.string().catch(''),
  projectId: z.string().nullable().catch(null),
  keyId: z.string().nullable().catch(null),
})

export function presentServiceAccountKey({
  credential,
  version,
}: StoredCredential): z.infer<typeof GoogleServiceAccountKey> {
  const { keyId, ...facts } = AccountFacts.parse(version.facts)
  return {
    id: credential.id,
    appId: credential.appId,
    name: credential.name,
    ...facts,
    privateKeyId: keyId,
    fingerprintSha256: version.fingerprintSha256,
    fileName: version.fileName,
    version: version.version,
    createdAt: credential.createdAt.toISOString(),
    createdBy: credential.createdBy,
  }
}
