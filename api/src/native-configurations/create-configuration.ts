import { nativeConfigurations, newId, withOrg } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import type { Configuration } from './find-configuration.js'

const MAX_CONFIGURATIONS = 100

export type CreateConfiguration = {
  appId: string
  name: string
  displayName?: string | null | undefined
  packageName?: string | null | undefined
}

export async function createConfiguration(ctx: Context, input: CreateConfiguration): Promise<Configuration> {
  requireScope(ctx, 'builds:write')
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    if ((await tx.$count(nativeConfigurations, eq(nativeConfigurations.appId, input.appId))) >= MAX_CONFIGURATIONS) {
      const limit = `An app has at most ${MAX_CONFIGURATIONS} native configurations. Delete one first.`
      throw new Problem('configuration-limit', limit)
    }
    const [configuration] = await tx
      .insert(nativeConfigurations)
      .values({
        id: newId(),
        orgId: ctx.orgId,
        appId: input.appId,
        name: input.name,
        nameLower: input.name.toLowerCase(),
        displayName: input.displayName ?? null,
        packageName: input.packageName ?? null,
        createdBy: ctx.actor.id,
        updatedBy: ctx.actor.id,
      })
      .onConflictDoNothing()
      .returning()
    if (!configuration) throw configurationNameTaken(input.name)
    await recordAudit(tx, ctx, {
      action: 'configuration.created',
      target: { app: input.appId, configuration: configuration.id },
      personal: { name: configuration.name, packageName: configuration.packageName },
    })
    return configuration
  })
}

export function configurationNameTaken(name: string): Problem {
  const sentence = `The app has a native configuration named "${name}" already. Choose another name.`
  return new Problem('configuration-name-taken', sentence)
}
