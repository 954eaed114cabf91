/**
 * Where organization keys and the entries of credentials live: apart from the database, with backups of its own that are
 * kept for days, not months. What it holds is wrapped; what is taken out of it makes every copy of a row unreadable.
 * One broker writes to a store.
 */
export interface KeyStore {
  /** The record, or null when there is none. */
  read(org: string, name: string): Promise<Buffer | null>
  /** Durable when it resolves. `false`: a record of this name exists and stays as it is. */
  create(org: string, name: string, record: Uint8Array): Promise<boolean>
  /** The old record or the new one is there at any moment; durable when it resolves. */
  replace(org: string, name: string, record: Uint8Array): Promise<void>
  /** As `replace`, and the old record's bytes are overwritten first. */
  shred(org: string, name: string, tombstone: Uint8Array): Promise<void>
  /** Overwrites and removes; nothing happens when there is no such record. */
  remove(org: string, name: string): Promise<void>
  /** Names of an organization's records, in order. */
  list(org: string): Promise<string[]>
  organizations(): Promise<string[]>
}

/** A key store that must not be used. The message is one sentence a person can act on. */
export class KeyStoreError extends Error {
  override name = 'KeyStoreError' as const
}
