import { nativeConfigurations, withOrg } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { type ConfigurationKey, findConfiguration } from './find-configuration.js'

/** Builds keep the names that they were given. */
export async function deleteConfiguration(
  ctx: Context,
  input: { appId: string; key: ConfigurationKey },
): Promise<void> {
  requireScope(ctx, 'builds:write')
  await withOrg(ctx.db, ctx.orgId, async (tx) => {
    const { id, name } = await findConfiguration(tx, input.appId, input.key, { lock: true })
    await tx.delete(nativeConfigurations).where(eq(nativeConfigurations.id, id))
    await recordAudit(tx, ctx, {
      action: 'configuration.deleted',
      target: { app: input.appId, configuration: id },
      personal: { name },
    })
  })
}
