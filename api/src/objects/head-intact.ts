import { type ObjectStore, ObjectStoreError, type StoredObject } from './object-store.js'

/** What the store has under the key; an object that is damaged is as good as gone. */
export async function headIntact(objects: ObjectStore, key: string): Promise<StoredObject | null> {
  try {
    return await objects.head(key)
  } catch (error) {
    if (error instanceof ObjectStoreError && error.code === 'object-damaged') return null
    throw error
  }
}
