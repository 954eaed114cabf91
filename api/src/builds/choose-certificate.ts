import { credentials, type Transaction } from '@capstan/migrations'
import { and, eq } from 'drizzle-orm'
import { Problem } from '../problems.js'

/** What signs a build of each platform. */
const signingKinds = { android: 'android.keystore', ios: 'apple.identity', web: 'web.signing-key' } as const

export type CertificateChoice = {
  appId: string
  platform: 'android' | 'ios' | 'web'
  appCertificateId?: string | null | undefined
  appCertificateName?: string | null | undefined
}

/**
 * The certificate that was asked for, by id or by name; its version is pinned here for every attempt of the build. The
 * row is held until the transaction ends, so that no other version becomes active before the build stands.
 */
export async function chooseCertificate(
  tx: Transaction,
  { appId, platform, appCertificateId: id, appCertificateName: name }: CertificateChoice,
): Promise<typeof credentials.$inferSelect | null> {
  if (!id && !name) return null
  const which = id ? eq(credentials.id, id) : eq(credentials.nameLower, (name ?? '').toLowerCase())
  const [found] = await tx
    .select()
    .from(credentials)
    .where(and(eq(credentials.appId, appId), eq(credentials.kind, signingKinds[platform]), which))
    .for('share')
  if (found) return found
  const label = id ? `id "${id}"` : `name "${name}"`
  throw new Problem('certificate-unknown', `Certificate with ${label} not found for platform "${platform}".`)
}
