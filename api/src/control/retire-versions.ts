import { builds, credentials, credentialVersions, jobs, newId, withOrg, type Transaction } from '@capstan/migrations'
import { and, eq, exists, isNull, not } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import type { ControlDeps } from './control-deps.js'

type Version = { id: string; orgId: string }

/** Retires versions that were replaced, each once the last build that was given it has ended. */
export async function retireVersions(deps: ControlDeps): Promise<number> {
  const retiring = await deps.db
    .select({ id: credentialVersions.id, orgId: credentialVersions.orgId })
    .from(credentialVersions)
    .where(eq(credentialVersions.status, 'retiring'))
  let retired = 0
  for (const version of retiring) if (await retireUnused(deps, version)) retired += 1
  return retired
}

/** No new build chooses a version that is not active, so what has no unfinished build now never has one again. */
async function retireUnused(deps: ControlDeps, { id, orgId }: Version): Promise<boolean> {
  return withOrg(deps.db, orgId, async (tx) => {
    const [version] = await tx
      .update(credentialVersions)
      .set({ status: 'retired', retiredAt: deps.now() })
      .where(
        and(
          eq(credentialVersions.id, id),
          eq(credentialVersions.status, 'retiring'),
          not(exists(unfinishedBuilds(tx))),
        ),
      )
      .returning({
        credentialId: credentialVersions.credentialId,
        version: credentialVersions.version,
        fingerprint: credentialVersions.fingerprintSha256,
      })
    if (!version) return false
    const [credential] = await tx
      .select({ appId: credentials.appId })
      .from(credentials)
      .where(eq(credentials.id, version.credentialId))
    const by = { orgId, actor: { type: 'system', id: 'control' } as const, requestId: newId() }
    await recordAudit(tx, by, {
      action: 'credential.version_retired',
      target: { credential: version.credentialId, ...(credential && { app: credential.appId }) },
      data: { version: version.version, fingerprint: version.fingerprint },
    })
    return true
  })
}

function unfinishedBuilds(tx: Transaction) {
  return tx
    .select({ id: jobs.id })
    .from(builds)
    .innerJoin(jobs, eq(jobs.buildId, builds.id))
    .where(
      and(
        eq(builds.credentialId, credentialVersions.credentialId),
        eq(builds.credentialVersion, credentialVersions.version),
        isNull(jobs.finishedAt),
      ),
    )
}
