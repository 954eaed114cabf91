import { createHash } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { deflateRaw } from 'node:zlib'
import { bundleCopyHazards, bundles, newId, withOrg } from '@capstan/migrations'
import { ArchiveError, type ArchiveInput, writeArchive } from '@capstan/sdk/archive'
import { and, eq, isNull, sql } from 'drizzle-orm'
import type { Context } from '../context.js'
import { lockCopyHazards, recordCopyHazards } from './copy-hazards.js'
import { limitChecks } from './limit-checks.js'
import { type Bundle, type BundleFile, bundleObjectFolder, listBundleFiles } from './queries.js'

export type ZipColumns = { zipObjectKey: string; zipSha256: string; zipSizeBytes: number }

const deflate = promisify(deflateRaw)

/**
 * A zip of a manifest bundle's files, where there are devices that would mix files up on the way to it: with a zip they
 * copy nothing. Null where nobody needs one, and for signed files: only the customer can sign a zip.
 */
export async function zipForMixing(
  ctx: Context,
  bundle: Bundle,
  files: readonly BundleFile[],
): Promise<ZipColumns | null> {
  if (bundle.artifactType !== 'manifest' || bundle.url !== null || bundle.zipObjectKey !== null) return null
  if (files.some((file) => file.signature !== null)) return null
  const isNeeded = await withOrg(ctx.db, ctx.orgId, async (tx) => {
    await lockCopyHazards(tx, bundle.appId)
    if (bundle.status === 'pending') await recordCopyHazards(tx, bundle)
    const [hazard] = await tx
      .select({ from: bundleCopyHazards.fromBundleId })
      .from(bundleCopyHazards)
      .where(eq(bundleCopyHazards.toBundleId, bundle.id))
      .limit(1)
    return hazard !== undefined
  })
  return isNeeded ? limitChecks(() => makeZip(ctx, bundle, files)) : null
}

/** The same for a bundle that is ready and was published before a device needed the zip. */
export async function zipReadyBundle(ctx: Context, bundle: Bundle): Promise<Bundle> {
  if (bundle.status !== 'ready' || bundle.artifactType !== 'manifest') return bundle
  const files = await withOrg(ctx.db, ctx.orgId, (tx) => listBundleFiles(tx, bundle.id))
  const columns = await zipForMixing(ctx, bundle, files)
  if (columns === null) return bundle
  const [changed] = await withOrg(ctx.db, ctx.orgId, (tx) =>
    tx
      .update(bundles)
      .set({ ...columns, updatedAt: sql`now()` })
      .where(and(eq(bundles.id, bundle.id), isNull(bundles.zipObjectKey)))
      .returning(),
  )
  if (changed) return changed
  await ctx.objects.delete(columns.zipObjectKey)
  return bundle
}

async function makeZip(ctx: Context, bundle: Bundle, files: readonly BundleFile[]): Promise<ZipColumns | null> {
  const packed = new Map<Uint8Array, Uint8Array>()
  const inputs: ArchiveInput[] = []
  for (const { href, objectKey, sha256 } of files) {
    if (href === null || objectKey === null) continue
    const content = await buffer((await ctx.objects.get(objectKey)).body)
    if (createHash('sha256').update(content).digest('hex') !== sha256) {
      throw new Error('A stored bundle file is not the one that was uploaded.')
    }
    inputs.push({ path: href, content })
    packed.set(content, await deflate(content))
  }
  try {
    const bytes = writeArchive(inputs, (content) => packed.get(content) ?? content)
    const zipObjectKey = `${bundleObjectFolder(bundle)}/zip-${newId()}`
    const zipSha256 = createHash('sha256').update(bytes).digest('hex')
    await ctx.objects.put(zipObjectKey, bytes, { contentType: 'application/zip', sha256: zipSha256 })
    return { zipObjectKey, zipSha256, zipSizeBytes: bytes.byteLength }
  } catch (error) {
    // What the rules for archives refuse stays a manifest bundle, and is refused where it would harm.
    if (error instanceof ArchiveError) return null
    throw error
  }
}
