import { bundleFiles, bundles, withOrg } from '@capstan/migrations'
import { and, eq, inArray } from 'drizzle-orm'
import { validate as isUuid } from 'uuid'
import type { BundleFile } from '../bundles/queries.js'
import type { Context } from '../context.js'
import { Problem } from '../problems.js'

export type FindBundleFile = {
  appId: string
  bundleId: string
  /** The ways to read the path inside a manifest bundle, the likelier first; none for a zip. */
  hrefs: readonly string[]
}

export type DeliveredFile = Pick<BundleFile, 'name' | 'sha256' | 'sizeBytes' | 'signature'> & {
  objectKey: string
  artifactType: 'zip' | 'manifest'
  /** The same content compressed, where that is worth it. */
  brotli: { objectKey: string; sizeBytes: number } | null
}

/** A file of a ready bundle. */
export async function findBundleFile(ctx: Context, input: FindBundleFile): Promise<DeliveredFile> {
  if (!isUuid(input.bundleId)) throw notThere()
  const wanted =
    input.hrefs.length > 0 ? inArray(bundleFiles.href, [...input.hrefs]) : eq(bundleFiles.id, bundles.fileId)
  const rows = await withOrg(ctx.db, ctx.orgId, (tx) =>
    tx
      .select({ file: bundleFiles, bundle: bundles })
      .from(bundles)
      .leftJoin(bundleFiles, and(eq(bundleFiles.bundleId, bundles.id), wanted))
      .where(and(eq(bundles.id, input.bundleId), eq(bundles.appId, input.appId), eq(bundles.status, 'ready'))),
  )
  const inOrder = input.hrefs.map((href) => rows.find((row) => row.file?.href === href))
  const found = input.hrefs.length > 0 ? inOrder.find((row) => row !== undefined) : rows[0]
  if (!found) throw notThere()
  const { file, bundle } = found
  if (file?.objectKey) {
    const { brotliObjectKey: objectKey, brotliSizeBytes: sizeBytes } = file
    const brotli = objectKey !== null && sizeBytes !== null ? { objectKey, sizeBytes } : null
    return { ...file, objectKey: file.objectKey, artifactType: bundle.artifactType, brotli }
  }
  if (input.hrefs.length > 0 || !bundle.zipObjectKey || !bundle.zipSha256 || bundle.zipSizeBytes === null)
    throw notThere()
  return {
    artifactType: 'zip',
    brotli: null,
    name: 'bundle.zip',
    objectKey: bundle.zipObjectKey,
    sha256: bundle.zipSha256,
    sizeBytes: bundle.zipSizeBytes,
    signature: null,
  }
}

/** The words are those that the official clients know. */
function notThere(): Problem {
  return new Problem('not-found', 'File not found.')
}
