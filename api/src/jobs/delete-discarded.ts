import type { Logger } from 'pino'
import type { ObjectStore } from '../objects/object-store.js'

/** Removes objects that no row refers to any more. What cannot be removed now stays unreachable, and is logged. */
export async function deleteDiscarded(objects: ObjectStore, log: Logger, keys: readonly string[]): Promise<void> {
  for (const key of keys) {
    await objects.delete(key).catch((error: unknown) => log.warn({ err: error, key }, 'object was not removed'))
  }
}
