import type { Context } from '../context.js'
import { Problem } from '../problems.js'
import { type DestroyedKeys, SealError } from '../vault/seal-client.js'
import type { VersionPath } from './queries.js'

/**
 * Has the broker destroy the key of one version, so that no copy of its row opens again. Comes before the row says so:
 * a fault in between leaves a version whose key is gone, which can be destroyed again, never the reverse.
 */
export async function destroyKey(ctx: Context, { credentialId, version }: VersionPath): Promise<DestroyedKeys> {
  try {
    return await ctx.seal.destroyCredential({ org: ctx.orgId, credential: credentialId, version })
  } catch (error) {
    if (!(error instanceof SealError)) throw error
    ctx.log.error({ err: error, requestId: ctx.requestId }, 'the key of a version was not destroyed')
    throw new Problem(
      'dependency-unavailable',
      'The key of the version could not be destroyed just now, so nothing was changed. Try again in a moment.',
    )
  }
}
