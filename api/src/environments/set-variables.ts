import { environmentVariables, newId, withOrg } from '@capstan/migrations'
import { eq, sql } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { MAX_TOTAL_BYTES, MAX_VARIABLES } from '../builds/build-variables.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import { findEnvironment } from './find-environment.js'
import type { EnvironmentParams } from './get-environment.js'
import { touchEnvironment } from './touch-environment.js'

export type SetVariables = EnvironmentParams & { variables: { key: string; value: string }[] }

/** Adds or replaces variables; a key named twice takes its last value. */
export async function setVariables(ctx: Context, { appId, environmentId, variables }: SetVariables): Promise<void> {
  requireScope(ctx, 'environments:write')
  const last = new Map(variables.map(({ key, value }) => [key, value]))
  if (last.size === 0) return
  await withOrg(ctx.db, ctx.orgId, async (tx) => {
    await findEnvironment(tx, appId, { id: environmentId }, { lock: true })
    await tx
      .insert(environmentVariables)
      .values([...last].map(([key, value]) => ({ id: newId(), orgId: ctx.orgId, environmentId, key, value })))
      .onConflictDoUpdate({
        target: [environmentVariables.environmentId, environmentVariables.key],
        set: { value: sql`excluded.value`, updatedAt: sql`now()` },
      })
    const [sum] = await tx
      .select({
        count: sql<number>`count(*)::int`,
        bytes: sql<number>`coalesce(sum(octet_length(key) + octet_length(value)), 0)::int`,
      })
      .from(environmentVariables)
      .where(eq(environmentVariables.environmentId, environmentId))
    if (sum && (sum.count > MAX_VARIABLES || sum.bytes > MAX_TOTAL_BYTES)) {
      const limit = `at most ${MAX_VARIABLES} variables, together ${MAX_TOTAL_BYTES} bytes`
      throw new Problem('environment-limit', `An environment holds ${limit}. Nothing was stored.`)
    }
    await touchEnvironment(tx, ctx, environmentId)
    await recordAudit(tx, ctx, {
      action: 'environment.variables_set',
      target: { app: appId, environment: environmentId },
      data: { keys: [...last.keys()].sort() },
    })
  })
}
