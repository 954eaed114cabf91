import { bundleFiles, bundles, type Transaction } from '@capstan/migrations'
import { and, asc, eq } from 'drizzle-orm'
import { appObjectPrefix } from '../apps/delete-app.js'
import { Problem } from '../problems.js'

export type Bundle = typeof bundles.$inferSelect
export type BundleFile = typeof bundleFiles.$inferSelect

export async function requireBundle(tx: Transaction, appId: string, bundleId: string): Promise<Bundle> {
  const [bundle] = await tx
    .select()
    .from(bundles)
    .where(and(eq(bundles.id, bundleId), eq(bundles.appId, appId)))
  if (!bundle) throw new Problem('not-found', 'This app has no such bundle.')
  return bundle
}

export async function listBundleFiles(tx: Transaction, bundleId: string): Promise<BundleFile[]> {
  return tx.select().from(bundleFiles).where(eq(bundleFiles.bundleId, bundleId)).orderBy(asc(bundleFiles.id))
}

/** Where the bytes of one file are kept; without `fileId`, the folder of all files of the bundle. */
export function bundleObjectFolder(bundle: Pick<Bundle, 'orgId' | 'appId' | 'id'>, fileId?: string): string {
  const folder = `${appObjectPrefix(bundle.orgId, bundle.appId)}bundles/${bundle.id}`
  return fileId ? `${folder}/${fileId}` : folder
}
