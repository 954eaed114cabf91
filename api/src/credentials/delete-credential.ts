import { builds, credentials, credentialVersions, jobs, withOrg } from '@capstan/migrations'
import { and, eq, isNull } from 'drizzle-orm'

import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import { requireCredential } from './find-credentials.js'
import type { CredentialPath } from './get-credential.js'

/** Deletes a credential with all its versions; refused while a build that is not finished will sign with it. */
export async function deleteCredential(ctx: Context, { appId, credentialId }: CredentialPath): Promise<void> {
  requireScope(ctx, 'credentials:write')
  await withOrg(ctx.db, ctx.orgId, async (tx) => {
    const { credential } = await requireCredential(tx, appId, credentialId)
    const [waiting] = await tx
      .select({ number: builds.number })
      .from(builds)
      .innerJoin(jobs, eq(jobs.buildId, builds.id))
      .where(and(eq(builds.credentialId, credential.id), isNull(jobs.finishedAt)))
      .limit(1)
    if (waiting !== undefined) {
      throw new Problem(
        'credential-in-use',
        `Build ${waiting.number} is not finished and signs with this certificate. Wait for it, or cancel it first.`,
      )
    }
    const versions = await tx
      .select({ version: credentialVersions.version, fingerprint: credentialVersions.fingerprintSha256 })
      .from(credentialVersions)
      .where(eq(credentialVersions.credentialId, credential.id))
    await tx.delete(credentials).where(eq(credentials.id, credential.id))
    await recordAudit(tx, ctx, {
      action: 'credential.deleted',
      target: { app: appId, credential: credential.id },
      data: { versions },
    })
  })
}
