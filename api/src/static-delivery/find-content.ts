import { bundleFiles, bundlePatches, bundles, type Transaction } from '@capstan/migrations'
import { and, eq, inArray, isNotNull } from 'drizzle-orm'
import type { PublishedApp } from '../updates/published-app.js'
import type { StaticKind } from './static-paths.js'

export type ContentObject = { kind: StaticKind; name: string; objectKey: string; sizeBytes: number }

/** The bytes that devices fetch of what an app offers, where they are kept here. Only a release leads to them. */
export async function findContent(tx: Transaction, app: PublishedApp): Promise<ContentObject[]> {
  const offered = [...app.channels.values()].flatMap(({ offers }) => offers.map(({ bundle }) => bundle))
  const ids = [...new Set(offered.filter(({ release }) => release !== null).map(({ id }) => id))]
  if (ids.length === 0) return []
  const zips = await tx
    .select({ file: bundleFiles })
    .from(bundles)
    .innerJoin(bundleFiles, eq(bundleFiles.id, bundles.fileId))
    .where(and(inArray(bundles.id, ids), eq(bundles.artifactType, 'zip')))
  const patches = await tx
    .select()
    .from(bundlePatches)
    .where(and(inArray(bundlePatches.toBundleId, ids), isNotNull(bundlePatches.sha256)))
  return [
    ...zips.flatMap(({ file: { objectKey, sha256, sizeBytes } }) =>
      objectKey === null ? [] : [{ kind: 'archives' as const, name: `${sha256}.zip`, objectKey, sizeBytes }],
    ),
    ...patches.flatMap(({ objectKey, sha256, sizeBytes }) =>
      objectKey === null || sha256 === null || sizeBytes === null
        ? []
        : [{ kind: 'patches' as const, name: sha256, objectKey, sizeBytes }],
    ),
  ]
}
