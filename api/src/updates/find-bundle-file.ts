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

export type DeliveredFile = BundleFile & { objectKey: string; artifactType: 'zip' | 'manifest' }

/** A file of a ready bundle. The words of the refusal are those that the official clients know. */
export async function findBundleFile(ctx: Context, input: FindBundleFile): Promise<DeliveredFile> {
  const rows = isUuid(input.bundleId)
    ? await withOrg(ctx.db, ctx.orgId, (tx) =>
        tx
          .select({ file: bundleFiles, bundle: bundles })
          .from(bundles)
          .innerJoin(bundleFiles, eq(bundleFiles.bundleId, bundles.id))
          .where(
            and(
              eq(bundles.id, input.bundleId),
              eq(bundles.appId, input.appId),
              eq(bundles.status, 'ready'),
              input.hrefs.length > 0 ? inArray(bundleFiles.href, [...input.hrefs]) : eq(bundleFiles.id, bundles.fileId),
            ),
          ),
      )
    : []
  const inOrder = input.hrefs.map((href) => rows.find((row) => row.file.href === href))
  const found = input.hrefs.length > 0 ? inOrder.find((row) => row !== undefined) : rows[0]
  if (!found?.file.objectKey) throw new Problem('not-found', 'File not found.')
  return { ...found.file, objectKey: found.file.objectKey, artifactType: found.bundle.artifactType }
}
