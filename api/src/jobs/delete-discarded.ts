import type { Logger } from 'pino'
import type { ObjectStore } from '../objects/object-store.js'

/**
 * Removes objects that no row refers to any more; of a key that ends in a slash everything below it. What cannot be
 * removed now is unreachable, is logged, and goes when the control process sweeps what was noted as discarded. Answers
 * whether all is gone.
 */
export async function deleteDiscarded(objects: ObjectStore, log: Logger, keys: readonly string[]): Promise<boolean> {
  let isGone = true
  for (const key of keys) {
    const removed = key.endsWith('/') ? objects.deleteBelow(key) : objects.delete(key)
    await removed.catch((error: unknown) => {
      isGone = false
      log.warn({ err: error, key }, 'object was not removed')
    })
  }
  return isGone
}
