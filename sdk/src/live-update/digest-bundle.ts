import { type FileDigest, sha256Hex } from '../archive/sha256.js'
import type { BundleStorage } from './bundle-storage.js'
import type { BundleRef } from './state.js'

/** One hash for a whole file list, to notice a bundle that changed on disk. */
export function digestFiles(files: readonly FileDigest[]): Promise<string> {
  return sha256Hex(new TextEncoder().encode(JSON.stringify(files.map((file) => [file.path, file.sha256, file.size]))))
}

/** Whether a bundle is on disk exactly as it was staged. */
export async function isIntact(storage: BundleStorage, bundle: BundleRef): Promise<boolean> {
  const files = await storage.digest(bundle.id)
  return files !== null && (await digestFiles(files)) === bundle.filesDigest
}
