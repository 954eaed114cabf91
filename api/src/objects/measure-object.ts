import { createHash } from 'node:crypto'
import { type ObjectStore, ObjectStoreError } from './object-store.js'

/** Size and hash of what is really stored, read and computed here; null when nothing is. */
export async function measureObject(
  objects: ObjectStore,
  key: string,
): Promise<{ sizeBytes: number; sha256: string } | null> {
  const hash = createHash('sha256')
  let sizeBytes = 0
  try {
    for await (const chunk of (await objects.get(key)).body) {
      hash.update(chunk as Buffer)
      sizeBytes += (chunk as Buffer).length
    }
  } catch (error) {
    if (error instanceof ObjectStoreError && error.code === 'object-not-found') return null
    throw error
  }
  return { sizeBytes, sha256: hash.digest('hex') }
}
