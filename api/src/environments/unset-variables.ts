import { environmentVariables, withOrg } from '@capstan/migrations'
import { and, eq, inArray } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { findEnvironment } from './find-environment.js'
import type { EnvironmentParams } from './get-environment.js'
import { touchEnvironment } from './touch-environment.js'

export type UnsetKeys = EnvironmentParams & { keys: string[] }

/** Removes variables; keys that are not there are no fault. */
export async function unsetVariables(ctx: Context, { appId, environmentId, keys }: UnsetKeys): Promise<void> {
  requireScope(ctx, 'environments:write')
  if (keys.length === 0) return
  await withOrg(ctx.db, ctx.orgId, async (tx) => {
    await findEnvironment(tx, appId, { id: environmentId }, { lock: true })
    const removed = await tx
      .delete(environmentVariables)
      .where(and(eq(environmentVariables.environmentId, environmentId), inArray(environmentVariables.key, keys)))
      .returning({ key: environmentVariables.key })
    if (removed.length === 0) return
    await touchEnvironment(tx, ctx, environmentId)
    await recordAudit(tx, ctx, {
      action: 'environment.variables_unset',
      target: { app: appId, environment: environmentId },
      data: { keys: removed.map(({ key }) => key).sort() },
    })
  })
}
