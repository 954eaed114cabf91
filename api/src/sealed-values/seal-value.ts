import { newId, type sealedValues } from '@capstan/migrations'
import type { Context } from '../context.js'
import { Problem } from '../problems.js'
import { SealError } from '../vault/seal-client.js'
import { Secret } from '../vault/secret.js'
import { contextOfValue, type ValueIdentity } from './context-of-value.js'

type Owner = Partial<Pick<ValueIdentity, 'appId' | 'environmentId' | 'buildId' | 'gitConnectionId'>>

/** The row of a secret, encrypted by the broker. Nothing is stored yet; without the broker nothing can be. */
export async function sealValue(
  ctx: Context,
  owner: Owner,
  { name, text }: { name: string; text: string },
): Promise<typeof sealedValues.$inferInsert> {
  const identity: ValueIdentity = {
    id: newId(),
    orgId: ctx.orgId,
    appId: owner.appId ?? null,
    environmentId: owner.environmentId ?? null,
    buildId: owner.buildId ?? null,
    gitConnectionId: owner.gitConnectionId ?? null,
    name,
  }
  using secret = new Secret(Buffer.from(text, 'utf8'))
  try {
    return { ...identity, ...(await ctx.seal.seal(contextOfValue(identity), secret)), createdBy: ctx.actor.id }
  } catch (error) {
    if (!(error instanceof SealError)) throw error
    ctx.log.error({ err: error, requestId: ctx.requestId }, 'a secret was not sealed')
    throw new Problem(
      'dependency-unavailable',
      'The secret could not be encrypted just now, so nothing was stored. Try again in a moment.',
    )
  }
}
