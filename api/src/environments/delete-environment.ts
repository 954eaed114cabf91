import { builds, environments, jobs, type Transaction, withOrg } from '@capstan/migrations'
import { and, eq, isNull } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import { shredKeys } from '../sealed-values/shred-keys.js'
import { type EnvironmentKey, findEnvironment } from './find-environment.js'

/** Deletes an environment; its secrets open no more, in backups of the database either. */
export async function deleteEnvironment(ctx: Context, input: { appId: string; key: EnvironmentKey }): Promise<void> {
  requireScope(ctx, 'environments:write')
  await withOrg(ctx.db, ctx.orgId, async (tx) => {
    const environment = await findEnvironment(tx, input.appId, input.key, { lock: true })
    await refuseWhileUsed(tx, environment.id)
    await shredKeys(ctx, { kind: 'environment', id: environment.id })
    await tx.delete(environments).where(eq(environments.id, environment.id))
    await recordAudit(tx, ctx, {
      action: 'environment.deleted',
      target: { app: input.appId, environment: environment.id },
      personal: { name: environment.name },
    })
  })
}

async function refuseWhileUsed(tx: Transaction, environmentId: string): Promise<void> {
  const [waiting] = await tx
    .select({ number: builds.number })
    .from(builds)
    .innerJoin(jobs, eq(jobs.buildId, builds.id))
    .where(and(eq(builds.environmentId, environmentId), isNull(jobs.finishedAt)))
    .limit(1)
  if (waiting === undefined) return
  throw new Problem(
    'environment-in-use',
    `Build ${waiting.number} is not finished and uses this environment. Wait for it, or cancel it first.`,
  )
}
