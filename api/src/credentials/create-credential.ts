import { type CredentialKind, credentials, credentialVersions, newId, withOrg } from '@capstan/migrations'
import { and, eq } from 'drizzle-orm'

import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import { prepareVersion, type VersionUpload } from './prepare-version.js'
import { certificateKinds, type platforms, type StoredCredential } from './present-credential.js'

export type CreateCredential = VersionUpload & { appId: string; name: string }

/** Which platform a kind belongs to; the official CLI knows the platform only. */
const platformOf = {
  'android.keystore': 'android',
  'google.service-account': 'android',
  'apple.identity': 'ios',
  'apple.app-store-connect-key': 'ios',
  'apple.push-key': 'ios',
  'web.signing-key': 'web',
} as const satisfies Record<CredentialKind, (typeof platforms)[number]>

/** Takes a signing credential: opened and checked in a child process, sealed by the broker, stored as an envelope only. */
export async function createCredential(ctx: Context, input: CreateCredential): Promise<StoredCredential> {
  requireScope(ctx, 'credentials:write')
  const { kind } = input
  await refuseTakenName(ctx, input)
  const id = newId()
  const target = { appId: input.appId, credentialId: id, version: 1 }
  const { row, type } = await prepareVersion(ctx, target, input)
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const createdBy = ctx.actor.type === 'user' ? ctx.actor.id : null
    const [credential] = await tx
      .insert(credentials)
      .values({
        id,
        orgId: ctx.orgId,
        appId: input.appId,
        name: input.name,
        nameLower: input.name.toLowerCase(),
        platform: platformOf[kind],
        type,
        kind,
        currentVersion: 1,
        createdBy,
        updatedBy: createdBy,
      })
      .onConflictDoNothing()
      .returning()
    if (credential === undefined) throw nameTaken(input)
    const [inserted] = await tx
      .insert(credentialVersions)
      .values({ ...row, status: 'active', activatedAt: ctx.now() })
      .returning()
    if (inserted === undefined) throw new Error('The credential version was not inserted.')
    await recordAudit(tx, ctx, {
      action: 'credential.created',
      target: { app: input.appId, credential: id },
      data: { platform: platformOf[kind], kind, version: 1, fingerprint: inserted.fingerprintSha256 },
    })
    const { envelope: _envelope, ...version } = inserted
    return { credential, version }
  })
}

async function refuseTakenName(ctx: Context, input: CreateCredential): Promise<void> {
  const same = and(
    eq(credentials.appId, input.appId),
    eq(credentials.kind, input.kind),
    eq(credentials.nameLower, input.name.toLowerCase()),
  )
  const [taken] = await withOrg(ctx.db, ctx.orgId, (tx) =>
    tx.select({ id: credentials.id }).from(credentials).where(same),
  )
  if (taken !== undefined) throw nameTaken(input)
}

export function nameTaken({ name, kind }: { name: string; kind: CredentialKind }): Problem {
  const what = certificateKinds.includes(kind) ? 'certificate' : 'key'
  return new Problem(
    'credential-name-taken',
    `The app has an ${platformOf[kind]} ${what} named "${name}" already. Choose another name, or delete that one first.`,
  )
}
