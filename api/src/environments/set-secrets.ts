import { sealedValues, withOrg } from '@capstan/migrations'
import { and, eq, inArray } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import { sealValue } from '../sealed-values/seal-value.js'
import { findEnvironment } from './find-environment.js'
import type { EnvironmentParams } from './get-environment.js'
import { touchEnvironment } from './touch-environment.js'

const MAX_SECRETS = 100
export const MAX_SECRET_BYTES = 16 * 1024

export type SetSecrets = EnvironmentParams & { secrets: { key: string; value: string }[] }

/** Adds or replaces secrets. Their values are encrypted before the database hears of them, and never shown again. */
export async function setSecrets(ctx: Context, { appId, environmentId, secrets }: SetSecrets): Promise<void> {
  requireScope(ctx, 'environments:write')
  const last = new Map(secrets.map(({ key, value }) => [key, value]))
  if (last.size === 0) return
  await withOrg(ctx.db, ctx.orgId, (tx) => findEnvironment(tx, appId, { id: environmentId }))
  const sealed: (typeof sealedValues.$inferInsert)[] = []
  for (const [name, text] of last) sealed.push(await sealValue(ctx, { appId, environmentId }, { name, text }))
  const keys = [...last.keys()]
  await withOrg(ctx.db, ctx.orgId, async (tx) => {
    await findEnvironment(tx, appId, { id: environmentId }, { lock: true })
    const ofEnvironment = eq(sealedValues.environmentId, environmentId)
    await tx.delete(sealedValues).where(and(ofEnvironment, inArray(sealedValues.name, keys)))
    await tx.insert(sealedValues).values(sealed)
    if ((await tx.$count(sealedValues, ofEnvironment)) > MAX_SECRETS) {
      throw new Problem('environment-limit', `An environment holds at most ${MAX_SECRETS} secrets. Nothing was stored.`)
    }
    await touchEnvironment(tx, ctx, environmentId)
    await recordAudit(tx, ctx, {
      action: 'environment.secrets_set',
      target: { app: appId, environment: environmentId },
      data: { keys: keys.sort() },
    })
  })
}
