import { buffer } from 'node:stream/consumers'
import { withOrg } from '@capstan/migrations'
import type { Context } from '../context.js'
import { loadReleaseKeys } from '../public-keys/load-release-keys.js'
import { isSigned } from './check-signature.js'
import { type Bundle, listBundleFiles } from './queries.js'

/**
 * Whether every file of a bundle carries a signature, and, where the app has registered keys, one that a key that is
 * valid now made over the stored bytes. One at a foreign address is not: its bytes were seen by nobody here.
 */
export async function bundleIsSigned(ctx: Pick<Context, 'db' | 'orgId' | 'objects'>, bundle: Bundle): Promise<boolean> {
  if (bundle.url !== null) return false
  const files = await withOrg(ctx.db, ctx.orgId, (tx) => listBundleFiles(tx, bundle.id))
  if (files.length === 0 || files.some((file) => !file.signature)) return false
  const keys = await loadReleaseKeys(ctx, bundle.appId)
  if (keys.length === 0) return true
  for (const { objectKey, signature } of files) {
    if (!objectKey || !signature) return false
    const { body } = await ctx.objects.get(objectKey)
    if (!(await isSigned(keys, await buffer(body), signature))) return false
  }
  return true
}
