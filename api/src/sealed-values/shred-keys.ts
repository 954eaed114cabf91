import type { Context } from '../context.js'
import { Problem } from '../problems.js'
import { SealError, type ShredOwner } from '../vault/seal-client.js'

/** Before the rows go: the key under which an owner's secrets lie is gone from then on, in every backup of the rows. */
export async function shredKeys(ctx: Context, owner: ShredOwner): Promise<void> {
  try {
    await ctx.seal.shred({ org: ctx.orgId, ...owner })
  } catch (error) {
    if (!(error instanceof SealError)) throw error
    ctx.log.error({ err: error, requestId: ctx.requestId }, 'a key was not destroyed')
    throw new Problem(
      'dependency-unavailable',
      'The key of the secrets could not be destroyed just now, so nothing was deleted. Try again in a moment.',
    )
  }
}
