import type { CredentialKind } from '@capstan/migrations'
import { z } from '@hono/zod-openapi'

import type { StoredCredential } from '../credentials/present-credential.js'
import { Id, Timestamp } from '../define-route.js'

export const purposes = ['app-store-connect', 'push'] as const
export const kindOfPurpose = {
  'app-store-connect': 'apple.app-store-connect-key',
  push: 'apple.push-key',
} as const satisfies Record<(typeof purposes)[number], CredentialKind>
export const keyKinds: readonly CredentialKind[] = Object.values(kindOfPurpose)

export const AppleApiKey = z
  .object({
    id: Id,
    appId: Id,
    name: z.string(),
    purpose: z.enum(purposes),
    keyId: z.string(),
    issuerId: z.string().nullable(),
    teamId: z.string().nullable(),
    fingerprintSha256: z.string(),
    fileName: z.string(),
    version: z.number().int(),
    createdAt: Timestamp,
    createdBy: Id.nullable(),
  })
  .openapi('AppleApiKey')

const KeyFacts = z.object({
  keyId: z.string().catch(''),
  issuerId: z.string().nullable().catch(null),
  teamId: z.string().nullable().catch(null),
})

export function presentAppleApiKey({ credential, version }: StoredCredential): z.infer<typeof AppleApiKey> {
  return {
    id: credential.id,
    appId: credential.appId,
    name: credential.name,
    purpose: credential.kind === 'apple.push-key' ? 'push' : 'app-store-connect',
    ...KeyFacts.parse(version.facts),
    fingerprintSha256: version.fingerprintSha256,
    fileName: version.fileName,
    version: version.version,
    createdAt: credential.createdAt.toISOString(),
    createdBy: credential.createdBy,
  }
}
