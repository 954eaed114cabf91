import { environments, newId, withOrg } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import type { Environment } from './find-environment.js'

const MAX_ENVIRONMENTS = 100

export async function createEnvironment(ctx: Context, input: { appId: string; name: string }): Promise<Environment> {
  requireScope(ctx, 'environments:write')
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    if ((await tx.$count(environments, eq(environments.appId, input.appId))) >= MAX_ENVIRONMENTS) {
      throw new Problem('environment-limit', `An app has at most ${MAX_ENVIRONMENTS} environments. Delete one first.`)
    }
    const [environment] = await tx
      .insert(environments)
      .values({
        id: newId(),
        orgId: ctx.orgId,
        appId: input.appId,
        name: input.name,
        nameLower: input.name.toLowerCase(),
        createdBy: ctx.actor.id,
        updatedBy: ctx.actor.id,
      })
      .onConflictDoNothing()
      .returning()
    if (!environment) throw environmentNameTaken(input.name)
    await recordAudit(tx, ctx, {
      action: 'environment.created',
      target: { app: input.appId, environment: environment.id },
      personal: { name: environment.name },
    })
    return environment
  })
}

export function environmentNameTaken(name: string): Problem {
  return new Problem(
    'environment-name-taken',
    `The app has an environment named "${name}" already. Choose another name.`,
  )
}
