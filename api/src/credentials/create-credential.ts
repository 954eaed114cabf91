import { createHash } from 'node:crypto'

import {
  type CredentialKind,
  credentials,
  credentialVersions,
  newId,
  type Transaction,
  withOrg,
} from '@capstan/migrations'
import { and, eq } from 'drizzle-orm'

import { recordAudit } from '../audit/record-audit.js'
import type { Change } from '../change-requests/change.js'
import { type Approval, requireApproval } from '../change-requests/require-approval.js'
import { beginChange, finishChange, returnApproval } from '../change-requests/spend-approval.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import { moveVersion } from '../credential-versions/move-version.js'
import { canaryFailed, proveVersion } from '../credential-versions/prove-version.js'
import { SealError } from '../vault/seal-client.js'
import { removeCredential } from './delete-credential.js'
import {
  notStored,
  prepareVersion,
  type UploadedFacts,
  type VersionTarget,
  type VersionUpload,
} from './prepare-version.js'
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

/**
 * Takes a signing credential: opened and checked in a child process, sealed by the broker, stored as an envelope only,
 * and made active once the broker has opened it again and signed a test message with it.
 */
export async function createCredential(ctx: Context, input: CreateCredential): Promise<StoredCredential> {
  requireScope(ctx, 'credentials:write')
  const { kind } = input
  await refuseTakenName(ctx, input)
  const id = newId()
  const target = { appId: input.appId, credentialId: id, version: 1 }
  const consent: { approval?: Approval } = {}
  const { row, type } = await prepareVersion(ctx, target, input, async (facts) => {
    consent.approval = await requireApproval(ctx, describeUpload(input, facts))
  })
  const { approval } = consent
  if (approval === undefined) throw new Error('A credential was prepared without asking for consent.')
  const stored = await withOrg(ctx.db, ctx.orgId, async (tx) => {
    await beginChange(tx, ctx, approval)
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
      .values({ ...row, status: 'draft' })
      .returning()
    if (inserted === undefined) throw new Error('The credential version was not inserted.')
    await recordAudit(tx, ctx, {
      action: 'credential.created',
      target: { app: input.appId, credential: id },
      data: {
        platform: platformOf[kind],
        kind,
        version: 1,
        fingerprint: inserted.fingerprintSha256,
        contentHash: approval.contentHash,
      },
    })
    const { envelope: _envelope, ...version } = inserted
    return { credential, version }
  })
  return activateFirst(ctx, target, stored, approval)
}

/** Exactly this file under this name; the passwords are those that open it. */
function describeUpload({ appId, name, kind, file, stated }: CreateCredential, facts: UploadedFacts): Change {
  return {
    action: 'credential.create',
    subject: { app: appId, kind, name: name.toLowerCase() },
    effect: { exists: true, activeVersion: 1, fingerprint: facts.fingerprintSha256 },
    details: {
      name,
      fileSha256: createHash('sha256').update(file.bytes).digest('hex'),
      keyAlias: facts.keyAlias,
      keyId: facts.keyId,
      teamId: facts.teamId,
      issuerId: stated?.issuerId ?? null,
    },
  }
}

/** What is not proven is not kept: the caller still has the file. */
async function activateFirst(
  ctx: Context,
  target: VersionTarget,
  stored: StoredCredential,
  approval: Approval,
): Promise<StoredCredential> {
  const proven = await proveVersion(ctx, target).catch((error: unknown) => {
    if (!(error instanceof SealError)) throw error
    ctx.log.error({ err: error, requestId: ctx.requestId }, 'a new credential was not proven')
    return null
  })
  if (proven === true) return { ...stored, version: await activate(ctx, target, stored.version, approval) }
  const path = { ...target, kinds: [stored.credential.kind] }
  await removeCredential(ctx, path, (tx) => undo(tx, ctx, approval)).catch((error: unknown) => {
    if (!(error instanceof Problem)) throw error
    throw new Problem(
      'upload-not-stored',
      `The credential could not be tried just now. It is kept as a draft that no build uses: delete "${stored.credential.name}", then upload it again.`,
    )
  })
  if (proven === false) throw canaryFailed(target.version)
  throw notStored()
}

async function undo(tx: Transaction, ctx: Context, approval: Approval): Promise<null> {
  await returnApproval(tx, ctx, approval)
  return null
}

function activate(
  ctx: Context,
  { appId, credentialId, version }: VersionTarget,
  draft: StoredCredential['version'],
  approval: Approval,
) {
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const validated = await moveVersion(tx, draft, 'validated')
    const active = await moveVersion(tx, validated, 'active', { activatedAt: ctx.now() })
    const spent = await finishChange(tx, ctx, approval, { entity: `credential/${credentialId}` })
    await recordAudit(tx, ctx, {
      action: 'credential.version_validated',
      target: { app: appId, credential: credentialId },
      data: { version, approval: spent },
    })
    return active
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
