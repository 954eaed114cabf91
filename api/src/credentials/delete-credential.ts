import { builds, credentials, credentialVersions, jobs, type Transaction, withOrg } from '@capstan/migrations'
import { and, eq, isNull } from 'drizzle-orm'

import { recordAudit } from '../audit/record-audit.js'
import { requireApproval } from '../change-requests/require-approval.js'
import { type Spent, spendApproval } from '../change-requests/spend-approval.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import { type DestroyedKeys, SealError } from '../vault/seal-client.js'
import { requireCredential } from './find-credentials.js'
import { type CredentialPath, getCredential } from './get-credential.js'

/**
 * Deletes a credential with all its versions and has its key destroyed, so that no copy of its rows opens again; refused
 * while a build that is not finished will sign with it.
 */
export async function deleteCredential(ctx: Context, path: CredentialPath): Promise<void> {
  requireScope(ctx, 'credentials:write')
  const { credential } = await getCredential(ctx, path)
  const approval = await requireApproval(ctx, {
    action: 'credential.delete',
    subject: { app: path.appId, credential: credential.id },
    effect: { exists: false },
    details: { name: credential.name, kind: credential.kind },
  })
  const entity = `credential/${credential.id}`
  await removeCredential(ctx, path, (tx) => spendApproval(tx, ctx, approval, { entity }))
}

/** The deletion itself, for what was consented to as a part of something else. `consent` is spent with it. */
export async function removeCredential(
  ctx: Context,
  { appId, credentialId, kinds }: CredentialPath,
  consent: (tx: Transaction) => Promise<Spent | null>,
): Promise<void> {
  await withOrg(ctx.db, ctx.orgId, async (tx) => {
    const { credential } = await requireCredential(tx, { appId, ...(kinds && { kinds }) }, credentialId)
    await tx.select({ id: credentials.id }).from(credentials).where(eq(credentials.id, credential.id)).for('update')
    await refuseWhileUsed(tx, credential.id)
    const versions = await tx
      .select({ version: credentialVersions.version, fingerprint: credentialVersions.fingerprintSha256 })
      .from(credentialVersions)
      .where(eq(credentialVersions.credentialId, credential.id))
    const approval = await consent(tx)
    const { certificateId } = await destroyKey(ctx, credential.id)
    await tx.delete(credentials).where(eq(credentials.id, credential.id))
    await recordAudit(tx, ctx, {
      action: 'credential.deleted',
      target: { app: appId, credential: credential.id },
      data: { kind: credential.kind, versions, deletionCertificate: certificateId, approval },
    })
  })
}

async function refuseWhileUsed(tx: Transaction, credentialId: string): Promise<void> {
  const [waiting] = await tx
    .select({ number: builds.number })
    .from(builds)
    .innerJoin(jobs, eq(jobs.buildId, builds.id))
    .where(and(eq(builds.credentialId, credentialId), isNull(jobs.finishedAt)))
    .limit(1)
  if (waiting === undefined) return
  throw new Problem(
    'credential-in-use',
    `Build ${waiting.number} is not finished and signs with this certificate. Wait for it, or cancel it first.`,
  )
}

/** Before the rows go: were the key destroyed after them, a fault in between would leave backups that open. */
async function destroyKey(ctx: Context, credential: string): Promise<DestroyedKeys> {
  try {
    return await ctx.seal.destroyCredential({ org: ctx.orgId, credential })
  } catch (error) {
    if (!(error instanceof SealError)) throw error
    ctx.log.error({ err: error, requestId: ctx.requestId }, 'credential key was not destroyed')
    throw new Problem(
      'dependency-unavailable',
      'The key of the credential could not be destroyed just now, so nothing was deleted. Try again in a moment.',
    )
  }
}
