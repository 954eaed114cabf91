import { randomBytes } from 'node:crypto'

import { EnvelopeError, encodeContext } from './envelope-context.js'
import { gcmOpen, gcmSeal, NONCE_BYTES } from './gcm.js'
import { hkdfSha512 } from './hkdf.js'
import { decodeRecord, encodeRecord, type EntriesRecord } from './key-record.js'
import type { KeyStore } from './key-store.js'
import type { OrganizationKeyring, Ring } from './organization-keyring.js'

const ENTRY_BYTES = 32
const ITEM_BYTES = 4 + 1 + ENTRY_BYTES
const CACHED = 1000
const REWRAPPING = 16
const PREFIX = 'credential-'

/** 32 random bytes for each version of one credential; null: that version is destroyed. */
type Entries = Map<number, Buffer | null>
export type CredentialRef = { org: string; credential: string }

/**
 * The part of a credential's key that exists once for each version and in the key store only. Without it the
 * organization key opens nothing, so its end is the end of that version in every backup of the database.
 */
export class CredentialEntries {
  readonly #keyring: OrganizationKeyring
  readonly #store: KeyStore
  readonly #now: () => Date
  readonly #cache = new Map<string, Entries>()
  /** Credentials that a re-wrap has still to move, by organization. */
  readonly #stale = new Map<string, { newest: number; credentials: string[] }>()
  #epoch = 0

  constructor(keyring: OrganizationKeyring, store: KeyStore, now: () => Date) {
    this.#keyring = keyring
    this.#store = store
    this.#now = now
  }

  /** The entry of a version; null when none was made. */
  async find(ref: CredentialRef, version: number): Promise<Buffer | null> {
    const entries = this.#cache.get(cacheKey(ref)) ?? (await this.#load(ref))
    const entry = entries?.get(version)
    if (entry === null) throw new EnvelopeError('key-destroyed')
    return entry ?? null
  }

  /** Whether the live entry of a version is in memory. */
  remembers(ref: CredentialRef, version: number): boolean {
    return Buffer.isBuffer(this.#cache.get(cacheKey(ref))?.get(version))
  }

  /** Makes the entry of a version unless it is there. */
  async add(ref: CredentialRef, version: number): Promise<void> {
    const entries = new Map((await this.#read(ref)) ?? [])
    if (entries.get(version) === null) throw new EnvelopeError('key-destroyed')
    if (entries.has(version)) return
    await this.#write(ref, entries.set(version, randomBytes(ENTRY_BYTES)))
  }

  /** One version's entry is gone for good; the other versions stay. */
  async destroyVersion(ref: CredentialRef, version: number): Promise<void> {
    const entries = new Map((await this.#read(ref)) ?? [])
    if (entries.get(version) === null) return
    await this.#write(ref, entries.set(version, null), 'shred')
  }

  /** Every version's entry is gone for good. Resolves to when that happened. */
  async destroy({ org, credential }: CredentialRef): Promise<Date> {
    const name = PREFIX + credential
    const found = await this.#store.read(org, name)
    const destroyedAt = (found === null ? null : tombstoneOf(found)) ?? this.#now()
    await this.#store.shred(org, name, encodeRecord({ type: 'tombstone', destroyedAt: destroyedAt.getTime() }))
    this.#forget({ org, credential })
    return destroyedAt
  }

  /**
   * Moves up to `limit` records of an organization under its newest key; resolves to how many were moved and are left.
   * What is left is looked up once and then taken from memory; that nothing is left is looked up again, in the store.
   */
  async rewrap(org: string, limit: number): Promise<{ moved: number; left: number }> {
    const newest = await this.#keyring.use(org, (ring) => ring.newest)
    const known = this.#stale.get(org)
    const stale = known?.newest === newest ? known.credentials : await this.#findStale(org, newest)
    const batch = stale.splice(-limit)
    for (const credential of batch) {
      // Destroyed since it was looked up: nothing is left to move.
      const entries = await this.#read({ org, credential }).catch(ignoreDestroyed)
      if (entries !== null) await this.#write({ org, credential }, entries)
    }
    const left = batch.length > 0 && stale.length === 0 ? await this.#findStale(org, newest) : stale
    this.#stale.delete(org)
    if (left.length > 0) keepBounded(this.#stale, org, { newest, credentials: left }, REWRAPPING)
    return { moved: batch.length, left: left.length }
  }

  async count(org: string): Promise<number> {
    return (await this.#store.list(org)).filter((name) => name.startsWith(PREFIX)).length
  }

  async #findStale(org: string, newest: number): Promise<string[]> {
    const stale: string[] = []
    for (const name of await this.#store.list(org)) {
      if (!name.startsWith(PREFIX)) continue
      const bytes = await this.#store.read(org, name)
      const record = bytes === null ? null : decodeRecord(bytes)
      if (record?.type === 'entries' && record.wrapped.kekVersion < newest) stale.push(name.slice(PREFIX.length))
    }
    return stale
  }

  async #load(ref: CredentialRef): Promise<Entries | null> {
    const epoch = this.#epoch
    const entries = await this.#read(ref)
    if (entries === null || epoch !== this.#epoch) return entries
    keepBounded(this.#cache, cacheKey(ref), entries, CACHED)
    return entries
  }

  async #read(ref: CredentialRef): Promise<Entries | null> {
    const bytes = await this.#store.read(ref.org, PREFIX + ref.credential)
    if (bytes === null) return null
    const record = decodeRecord(bytes)
    if (record.type === 'tombstone') throw new EnvelopeError('key-destroyed')
    if (record.type !== 'entries') throw new EnvelopeError()
    return this.#keyring.use(ref.org, (ring) => decodeEntries(unseal(ring, ref, record)))
  }

  async #write(ref: CredentialRef, entries: Entries, how: 'replace' | 'shred' = 'replace'): Promise<void> {
    const createdAt = this.#now().getTime()
    const record = await this.#keyring.use(ref.org, (ring) => seal(ring, ref, createdAt, encodeEntries(entries)))
    await this.#store[how](ref.org, PREFIX + ref.credential, encodeRecord(record))
    this.#forget(ref)
  }

  /** Also for an organization whose keys are gone: what lies in memory goes with them. */
  forgetAll(): void {
    this.#epoch += 1
    this.#cache.clear()
    this.#stale.clear()
  }

  #forget(ref: CredentialRef): void {
    this.#epoch += 1
    this.#cache.delete(cacheKey(ref))
  }
}

const cacheKey = ({ org, credential }: CredentialRef): string => `${org}/${credential}`

function ignoreDestroyed(error: unknown): null {
  if (error instanceof EnvelopeError && error.reason === 'key-destroyed') return null
  throw error
}

function keepBounded<Value>(map: Map<string, Value>, key: string, value: Value, limit: number): void {
  map.set(key, value)
  const [oldest] = map.keys()
  if (map.size > limit && oldest !== undefined) map.delete(oldest)
}

function tombstoneOf(bytes: Buffer): Date | null {
  try {
    const record = decodeRecord(bytes)
    return record.type === 'tombstone' ? new Date(record.destroyedAt) : null
  } catch {
    return null
  }
}

/** [S4] */
function seal(ring: Ring, ref: CredentialRef, createdAt: number, content: Buffer): EntriesRecord {
  const nonce = randomBytes(NONCE_BYTES)
  const aad = aadOf(ref, createdAt, ring.newest)
  const sealed = withKey(ring, ref.org, ring.newest, (key) => gcmSeal(key, nonce, aad, content))
  const wrapped = { kekId: `org:${ref.org}`, kekVersion: ring.newest, wrapped: Buffer.concat([nonce, ...sealed]) }
  return { type: 'entries', createdAt, wrapped }
}

function unseal(ring: Ring, ref: CredentialRef, { createdAt, wrapped: key }: EntriesRecord): Buffer {
  if (key.kekId !== `org:${ref.org}`) throw new EnvelopeError()
  const aad = aadOf(ref, createdAt, key.kekVersion)
  const [nonce, sealed] = [key.wrapped.subarray(0, NONCE_BYTES), key.wrapped.subarray(NONCE_BYTES)]
  return withKey(ring, ref.org, key.kekVersion, (bytes) => gcmOpen(bytes, nonce, aad, sealed))
}

function withKey<T>(ring: Ring, org: string, version: number, work: (key: Buffer) => T): T {
  const orgKey = ring.keys.get(version)
  if (orgKey === undefined) throw new EnvelopeError()
  const [key] = orgKey.use((bytes) => hkdfSha512(bytes, org, 'kst1:entries'))
  try {
    return work(key)
  } finally {
    key.fill(0)
  }
}

function aadOf({ org, credential }: CredentialRef, createdAt: number, kekVersion: number): Buffer {
  const ctx = { created: String(createdAt), credential, key: String(kekVersion), org, purpose: 'credential-entries' }
  return Buffer.concat([Buffer.from('kst1:entries\0', 'latin1'), encodeContext(ctx)])
}

/** [S5] `u32 version | u8 live | 32 bytes`, in order of versions. */
function encodeEntries(entries: Entries): Buffer {
  const ordered = [...entries].toSorted(([one], [other]) => one - other)
  const content = Buffer.alloc(ordered.length * ITEM_BYTES)
  for (const [index, [version, entry]] of ordered.entries()) {
    content.writeUInt32BE(version, index * ITEM_BYTES)
    content.writeUInt8(entry === null ? 0 : 1, index * ITEM_BYTES + 4)
    entry?.copy(content, index * ITEM_BYTES + 5)
  }
  return content
}

function decodeEntries(content: Buffer): Entries {
  if (content.length % ITEM_BYTES !== 0) throw new EnvelopeError()
  const entries: Entries = new Map()
  for (let offset = 0; offset < content.length; offset += ITEM_BYTES) {
    const isLive = content.readUInt8(offset + 4) === 1
    entries.set(content.readUInt32BE(offset), isLive ? content.subarray(offset + 5, offset + ITEM_BYTES) : null)
  }
  return entries
}
