import { sealedValues, withOrg } from '@capstan/migrations'
import { and, eq, inArray } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { findEnvironment } from './find-environment.js'
import { touchEnvironment } from './touch-environment.js'
import type { UnsetKeys } from './unset-variables.js'

/** Removes secrets; keys that are not there are no fault. */
export async function unsetSecrets(ctx: Context, { appId, environmentId, keys }: UnsetKeys): Promise<void> {
  requireScope(ctx, 'environments:write')
  if (keys.length === 0) return
  await withOrg(ctx.db, ctx.orgId, async (tx) => {
    await findEnvironment(tx, appId, { id: environmentId }, { lock: true })
    const removed = await tx
      .delete(sealedValues)
      .where(and(eq(sealedValues.environmentId, environmentId), inArray(sealedValues.name, keys)))
      .returning({ key: sealedValues.name })
    if (removed.length === 0) return
    await touchEnvironment(tx, ctx, environmentId)
    await recordAudit(tx, ctx, {
      action: 'environment.secrets_unset',
      target: { app: appId, environment: environmentId },
      data: { keys: removed.map(({ key }) => key).sort() },
    })
  })
}
