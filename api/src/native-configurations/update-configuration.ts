import { nativeConfigurations, withOrg } from '@capstan/migrations'
import { and, eq, ne, sql } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import { configurationNameTaken } from './create-configuration.js'
import { type Configuration, findConfiguration } from './find-configuration.js'
import type { ConfigurationParams } from './get-configuration.js'

export type UpdateConfiguration = ConfigurationParams & {
  name?: string | undefined
  displayName?: string | null | undefined
  packageName?: string | null | undefined
}

/** Absent keys stay as they are, `null` clears. Builds that were requested before keep what they were given. */
export async function updateConfiguration(ctx: Context, input: UpdateConfiguration): Promise<Configuration> {
  requireScope(ctx, 'builds:write')
  const { appId, configurationId: id, name, displayName, packageName } = input
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    await findConfiguration(tx, appId, { id }, { lock: true })
    if (name !== undefined) {
      const sameName = and(
        eq(nativeConfigurations.appId, appId),
        eq(nativeConfigurations.nameLower, name.toLowerCase()),
        ne(nativeConfigurations.id, id),
      )
      if ((await tx.$count(nativeConfigurations, sameName)) > 0) throw configurationNameTaken(name)
    }
    const [updated] = await tx
      .update(nativeConfigurations)
      .set({
        ...(name === undefined ? {} : { name, nameLower: name.toLowerCase() }),
        ...(displayName === undefined ? {} : { displayName }),
        ...(packageName === undefined ? {} : { packageName }),
        updatedBy: ctx.actor.id,
        updatedAt: sql`now()`,
      })
      .where(eq(nativeConfigurations.id, id))
      .returning()
    if (!updated) throw new Problem('not-found')
    await recordAudit(tx, ctx, {
      action: 'configuration.updated',
      target: { app: appId, configuration: id },
      personal: { name: updated.name, packageName: updated.packageName },
    })
    return updated
  })
}
