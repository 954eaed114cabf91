import type { Database } from '@capstan/migrations'
import type { Signer } from '@capstan/sdk/release'
import type { Logger } from 'pino'

import type { OrganizationKeys } from '../vault/organization-keys.js'

/** What the broker process holds. It has no Redis, no object store and no TCP port. */
export type BrokerDeps = {
  db: Database
  keys: OrganizationKeys
  /** Keys the hashes of lease tokens. */
  pepper: Uint8Array
  /** Signs deletion certificates. */
  deletionSigner: DeletionSigner
  /** How long backups of the key store are kept, as the operator says. */
  keyStoreRetentionDays: number
  /** Signs where artefacts come from; null: nobody does. `publicUrl` is how the platform is named in it. */
  provenance: { signer: DeletionSigner; publicUrl: string } | null
  /** Public half of the key that signs checkpoints of audit chains. */
  checkpointKeyPem: string
  log: Logger
  now: () => Date
}

export type DeletionSigner = Signer & { publicKeyPem: string }
