import type { Database } from '@capstan/migrations'
import type { Redis } from 'ioredis'
import type { Logger } from 'pino'
import type { ObjectStore } from '../objects/object-store.js'
import type { StaticParts } from '../static-delivery/publish-app.js'
import type { Outbound } from '../outbound/create-outbound.js'
import type { BuildQueue } from './build-queue.js'

/** What the control process holds. It sees what is due in every organization, and acts inside `withOrg`. */
export type ControlDeps = {
  db: Database
  objects: ObjectStore
  queue: BuildQueue
  redis: Redis
  /** With what static objects of live updates are written; null: there are none. */
  staticParts: StaticParts | null
  log: Logger
  publicUrl: string
  /** Seals mails. Null: this server mails nothing. */
  mailKey: Uint8Array | null
  now: () => Date
  /** Calls hosts that organizations name. */
  outbound: Outbound
}
