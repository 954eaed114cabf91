import { environments, withOrg } from '@capstan/migrations'
import { and, eq, ne, sql } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import { environmentNameTaken } from './create-environment.js'
import { type Environment, findEnvironment } from './find-environment.js'
import type { EnvironmentParams } from './get-environment.js'

export async function updateEnvironment(
  ctx: Context,
  { appId, environmentId, name }: EnvironmentParams & { name?: string | undefined },
): Promise<Environment> {
  requireScope(ctx, 'environments:write')
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const before = await findEnvironment(tx, appId, { id: environmentId }, { lock: true })
    if (name === undefined) return before
    const sameName = and(
      eq(environments.appId, appId),
      eq(environments.nameLower, name.toLowerCase()),
      ne(environments.id, before.id),
    )
    if ((await tx.$count(environments, sameName)) > 0) throw environmentNameTaken(name)
    const [renamed] = await tx
      .update(environments)
      .set({ name, nameLower: name.toLowerCase(), updatedBy: ctx.actor.id, updatedAt: sql`now()` })
      .where(eq(environments.id, before.id))
      .returning()
    if (!renamed) throw new Problem('not-found')
    await recordAudit(tx, ctx, {
      action: 'environment.updated',
      target: { app: appId, environment: before.id },
      personal: { before: before.name, name },
    })
    return renamed
  })
}
