import type { Database } from '@capstan/migrations'
import type { Logger } from 'pino'

import type { KeyManager } from '../vault/key-manager.js'

/** What the broker process holds. It has no Redis, no object store and no TCP port. */
export type BrokerDeps = {
  db: Database
  keys: KeyManager
  /** Keys the hashes of lease tokens. */
  pepper: Uint8Array
  log: Logger
  now: () => Date
}
