import { credentials, type Transaction, withOrg } from '@capstan/migrations'
import { eq } from 'drizzle-orm'

import { recordAudit } from '../audit/record-audit.js'
import { type Approval, requireApproval } from '../change-requests/require-approval.js'
import { spendApproval } from '../change-requests/spend-approval.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import { SealError } from '../vault/seal-client.js'
import { findLinkedProfiles, judgeVersion } from './judge-version.js'
import { moveVersion } from './move-version.js'
import type { StoredVersion } from './present-version.js'
import { canaryFailed, proveVersion } from './prove-version.js'
import { findVersions, lockCredential, requireCredentialRow, requireVersion, type VersionPath } from './queries.js'

export type ActivateVersion = VersionPath & {
  /** The version that the caller replaces; null: none is active. */
  expectedActiveVersion: number | null
}
type Cutover = ActivateVersion & { action: 'credential.rotated' | 'credential.rolled_back'; approval: Approval }

/** Cuts new builds over to a version that proved itself; builds that were requested before keep theirs. */
export async function activateVersion(
  ctx: Context,
  input: ActivateVersion,
  action: Cutover['action'] = 'credential.rotated',
): Promise<StoredVersion> {
  requireScope(ctx, 'credentials:write')
  const version = await withOrg(ctx.db, ctx.orgId, async (tx) => {
    await requireCredentialRow(tx, input)
    return requireVersion(tx, input)
  })
  const approval = await requireApproval(ctx, {
    action: 'credential.rotate',
    subject: { app: input.appId, credential: input.credentialId },
    effect: { exists: true, activeVersion: input.version, fingerprint: version.fingerprintSha256 },
    details: { verb: action, from: input.expectedActiveVersion },
  })
  if (version.status !== 'destroyed') await requireProof(ctx, input)
  return withOrg(ctx.db, ctx.orgId, (tx) => cutOver(tx, ctx, { ...input, action, approval }))
}

/** Again at every cut-over: a version that was proven when it was uploaded may have lost its key since. */
async function requireProof(ctx: Context, input: ActivateVersion): Promise<void> {
  const proven = await proveVersion(ctx, input).catch((error: unknown) => {
    if (!(error instanceof SealError)) throw error
    ctx.log.error({ err: error, requestId: ctx.requestId }, 'credential version was not proven')
    throw new Problem(
      'dependency-unavailable',
      'The credential broker does not answer, so nothing was changed. Try again in a moment.',
    )
  })
  if (!proven) throw canaryFailed(input.version)
}

/** One transaction, compared with what the caller saw: of many that start from the same state one changes it. */
async function cutOver(tx: Transaction, ctx: Context, input: Cutover): Promise<StoredVersion> {
  const credential = await lockCredential(tx, input)
  const active = (await findVersions(tx, credential.id)).find(({ status }) => status === 'active')
  refuseOtherState(active, input)
  const target = await requireVersion(tx, input)
  await refuseUnusable(tx, ctx, credential, target)
  const now = ctx.now()
  if (active !== undefined) await moveVersion(tx, active, 'retiring')
  const ready = target.status === 'draft' ? await moveVersion(tx, target, 'validated') : target
  const moved = await moveVersion(tx, ready, 'active', { activatedAt: now, retiredAt: null })
  await tx
    .update(credentials)
    .set({ currentVersion: moved.version, updatedAt: now, updatedBy: ctx.actor.type === 'user' ? ctx.actor.id : null })
    .where(eq(credentials.id, credential.id))
  const approval = await spendApproval(tx, ctx, input.approval, {
    entity: `credential/${credential.id}`,
    supersedes: [`credential-version/${moved.id}`],
  })
  await recordAudit(tx, ctx, {
    action: input.action,
    target: { app: input.appId, credential: credential.id },
    data: {
      from: active?.version ?? null,
      to: moved.version,
      fingerprint: moved.fingerprintSha256,
      approval,
    },
  })
  return moved
}

function refuseOtherState(active: StoredVersion | undefined, { version, expectedActiveVersion }: Cutover): void {
  const now = active === undefined ? 'No version is active' : `Version ${active.version} is active`
  if ((active?.version ?? null) !== expectedActiveVersion) {
    const expected = expectedActiveVersion === null ? 'none' : `version ${expectedActiveVersion}`
    throw new Problem(
      'credential-version-conflict',
      `${now}, not ${expected} as you expected; nothing was changed. Look at the versions and decide again.`,
    )
  }
  if (active?.version === version) throw new Problem('credential-version-refused', `${now} already.`)
}

async function refuseUnusable(
  tx: Transaction,
  ctx: Context,
  { kind }: typeof credentials.$inferSelect,
  version: StoredVersion,
): Promise<void> {
  const profiles = await findLinkedProfiles(tx, version.credentialId)
  const [finding] = judgeVersion({ kind, version, profiles }, ctx.now())
  if (finding !== undefined) throw new Problem(finding.code, finding.message)
}
