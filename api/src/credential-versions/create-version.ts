import { credentialVersions, withOrg } from '@capstan/migrations'

import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { prepareVersion, type VersionUpload } from '../credentials/prepare-version.js'
import { Problem } from '../problems.js'
import { SealError } from '../vault/seal-client.js'
import { destroyKey } from './destroy-key.js'
import { moveVersion } from './move-version.js'
import type { StoredVersion } from './present-version.js'
import { canaryFailed, proveVersion } from './prove-version.js'
import {
  type CredentialPath,
  type CredentialRow,
  findVersions,
  requireCredentialRow,
  shownColumns,
  type VersionPath,
} from './queries.js'

export type CreateVersion = CredentialPath & { upload: Omit<VersionUpload, 'kind'> }

/** Takes the next version of a credential beside those there are. It signs nothing until it is made active. */
export async function createVersion(ctx: Context, input: CreateVersion): Promise<StoredVersion> {
  requireScope(ctx, 'credentials:write')
  const { credential, present, version } = await findPlace(ctx, input)
  const target = { appId: input.appId, credentialId: credential.id, version }
  const stated = completeStated(credential, present, input.upload.stated)
  const { row, type } = await prepareVersion(ctx, target, { ...input.upload, kind: credential.kind, stated })
  refuseOtherPurpose(credential, present, { type, facts: row.facts ?? {} })
  const draft = await withOrg(ctx.db, ctx.orgId, async (tx) => {
    const facts = warnOfChange(credential, present, row)
    const [inserted] = await tx
      .insert(credentialVersions)
      .values({ ...row, facts, status: 'draft' })
      .onConflictDoNothing()
      .returning(shownColumns)
    if (inserted === undefined) {
      const sentence = 'Another version was uploaded at the same time, so nothing was stored. Upload this one again.'
      throw new Problem('credential-version-conflict', sentence)
    }
    await recordAudit(tx, ctx, {
      action: 'credential.version_created',
      target: { app: input.appId, credential: credential.id },
      data: { version, fingerprint: row.fingerprintSha256 },
    })
    return inserted
  })
  return validate(ctx, target, draft)
}

async function findPlace(ctx: Context, path: CredentialPath) {
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const credential = await requireCredentialRow(tx, path)
    const versions = await findVersions(tx, credential.id)
    const present = versions.find(({ version }) => version === credential.currentVersion)
    return { credential, present, version: (versions[0]?.version ?? 0) + 1 }
  })
}

type Stated = VersionUpload['stated']

/** The issuer and the team of an API key stay what they were; its id is new with each key. */
function completeStated({ kind }: CredentialRow, present: StoredVersion | undefined, given: Stated): Stated {
  if (kind !== 'apple.app-store-connect-key' && kind !== 'apple.push-key') return given
  const { issuerId, teamId } = present?.facts ?? {}
  return {
    keyId: given?.keyId,
    issuerId: given?.issuerId ?? (typeof issuerId === 'string' ? issuerId : undefined),
    teamId: given?.teamId ?? (typeof teamId === 'string' ? teamId : undefined),
  }
}

type Read = { type: CredentialRow['type']; facts: Record<string, unknown> }

/** A version replaces one of its own purpose: a debug key does not take the place of a release key by mistake. */
function refuseOtherPurpose(
  credential: CredentialRow,
  present: StoredVersion | undefined,
  { type, facts }: Read,
): void {
  if (type !== credential.type) {
    const sentence = `"${credential.name}" is for ${credential.type}; this file is for ${type}. Upload it as a new certificate.`
    throw new Problem('credential-purpose-differs', sentence)
  }
  const [before, after] = [present?.facts.teamId, facts.teamId]
  if (typeof before === 'string' && typeof after === 'string' && before !== after) {
    const sentence = `"${credential.name}" is of team ${before}; this file is of team ${after}. Upload it as a new certificate.`
    throw new Problem('credential-purpose-differs', sentence)
  }
}

function warnOfChange(
  { kind }: CredentialRow,
  present: StoredVersion | undefined,
  row: Pick<typeof credentialVersions.$inferInsert, 'facts' | 'fingerprintSha256'>,
): Record<string, unknown> {
  const facts = row.facts ?? {}
  if (kind !== 'android.keystore' || present === undefined) return facts
  if (present.fingerprintSha256 === row.fingerprintSha256) return facts
  const warnings = Array.isArray(facts.warnings) ? (facts.warnings as unknown[]) : []
  const changed = `The certificate differs from version ${present.version}: Google Play needs an upload key reset before it takes builds signed with it, and devices refuse it as an update outside of Play.`
  return { ...facts, warnings: [...warnings, changed] }
}

/** While the broker is away the version stays a draft: making it active asks again. */
async function validate(ctx: Context, path: VersionPath, draft: StoredVersion): Promise<StoredVersion> {
  const proven = await proveVersion(ctx, path).catch((error: unknown) => {
    if (!(error instanceof SealError)) throw error
    ctx.log.error({ err: error, requestId: ctx.requestId }, 'credential version was not proven')
    return null
  })
  if (proven === null) return draft
  const settled = await withOrg(ctx.db, ctx.orgId, async (tx) => {
    if (!proven) await destroyKey(ctx, path)
    const change = proven ? {} : { envelope: null, destroyedAt: ctx.now() }
    const moved = await moveVersion(tx, draft, proven ? 'validated' : 'destroyed', change)
    await recordAudit(tx, ctx, {
      action: proven ? 'credential.version_validated' : 'credential.version_rejected',
      target: { app: path.appId, credential: path.credentialId },
      outcome: proven ? 'success' : 'refused',
      data: { version: path.version },
    })
    return moved
  })
  if (!proven) throw canaryFailed(path.version)
  return settled
}
