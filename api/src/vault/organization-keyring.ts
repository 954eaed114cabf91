import { EnvelopeError, type KeyContext } from './envelope-context.js'
import type { RootKeys } from './key-manager.js'
import { decodeRecord, encodeRecord, type OrganizationKeyRecord } from './key-record.js'
import type { KeyStore } from './key-store.js'
import type { Secret } from './secret.js'

const CACHE_MS = 5 * 60_000
const CACHE_ORGANIZATIONS = 256
const TOMBSTONE = 'destroyed'

/** Keys of one organization as they lie in memory. */
export type Ring = {
  newest: number
  minVersion: number
  createdAt: number
  keys: ReadonlyMap<number, Secret>
  /** Keys derived from them, by what they are derived for; they go when the ring goes. */
  derived: Map<string, Secret>
  loadedAt: number
}
export type OrganizationKeyFacts = { version: number; minVersion: number; createdAt: number; rootKekId: string }

const keyName = (version: number): string => `key-${String(version).padStart(8, '0')}`

/** [S3] What an organization key is bound to when the root wraps it. */
const contextOf = (
  org: string,
  { version, minVersion, createdAt }: Omit<OrganizationKeyRecord, 'type' | 'wrapped'>,
): KeyContext => ({
  created: String(createdAt),
  min: String(minVersion),
  org,
  purpose: 'organization-key',
  version: String(version),
})

/** Makes, keeps and renews the organization keys. Writes must come one at a time. */
export class OrganizationKeyring {
  readonly #root: RootKeys
  readonly #store: KeyStore
  readonly #now: () => Date
  readonly #rings = new Map<string, Ring>()
  #epoch = 0

  constructor(root: RootKeys, store: KeyStore, now: () => Date) {
    this.#root = root
    this.#store = store
    this.#now = now
  }

  /** Lends the organization's keys for one synchronous call; `EnvelopeError` when it has none. */
  async use<T>(org: string, work: (ring: Ring) => T): Promise<T> {
    for (;;) {
      const cached = this.#rings.get(org)
      if (cached !== undefined && this.#now().getTime() - cached.loadedAt < CACHE_MS) return work(cached)
      const epoch = this.#epoch
      const ring = await this.#load(org)
      if (ring === null) throw new EnvelopeError()
      // Rotated or destroyed while it was being read: what was read may be what is gone now.
      if (epoch !== this.#epoch) continue
      this.#keep(org, ring)
      return work(ring)
    }
  }

  /** Gives the organization its first key when it has none. */
  async ensure(org: string): Promise<void> {
    if (this.#rings.has(org) || (await this.facts(org)).length > 0) return
    await this.#add(org, 1, 1)
  }

  async rotate(org: string): Promise<number> {
    const facts = await this.facts(org)
    const newest = facts.at(-1)
    const version = (newest?.version ?? 0) + 1
    await this.#add(org, version, newest?.minVersion ?? 1)
    return version
  }

  /** Drops every version but the newest. Only when nothing is wrapped under them any more. */
  async retireOlder(org: string): Promise<number[]> {
    const newest = (await this.#records(org)).at(-1)
    if (newest === undefined) return []
    if (newest.minVersion !== newest.version) await this.#rewrite(org, newest, { minVersion: newest.version })
    const older = (await this.#versionsOf(org)).filter((version) => version < newest.version)
    for (const version of older) await this.#store.remove(org, keyName(version))
    this.#forget(org)
    return older
  }

  /** Puts keys under the primary root that still lie under another; resolves to how many were moved. */
  async rewrapRoot(org: string): Promise<number> {
    if (await this.isDestroyed(org)) return 0
    const stale = (await this.#records(org)).filter(({ wrapped }) => wrapped.kekId !== this.#root.id)
    for (const record of stale) {
      const wrapped = await this.#root.rewrap(record.wrapped, contextOf(org, record))
      await this.#store.replace(org, keyName(record.version), encodeRecord({ ...record, wrapped }))
    }
    return stale.length
  }

  /** Every key of the organization is gone for good; the tombstone comes first, so that a crash half way is finished later. */
  async destroy(org: string): Promise<Date> {
    const found = await this.#store.read(org, TOMBSTONE)
    const before = found === null ? null : decodeRecord(found)
    const destroyedAt = before?.type === 'tombstone' ? new Date(before.destroyedAt) : this.#now()
    if (before === null) {
      const tombstone = encodeRecord({ type: 'tombstone', destroyedAt: destroyedAt.getTime() })
      await this.#store.create(org, TOMBSTONE, tombstone)
    }
    // Keys before entries: without them the entries are noise, however many there are still to overwrite.
    const names = (await this.#store.list(org)).filter((name) => name !== TOMBSTONE)
    const isKey = (name: string) => name.startsWith('key-')
    for (const name of [...names.filter(isKey), ...names.filter((name) => !isKey(name))]) {
      await this.#store.remove(org, name)
    }
    this.#forget(org)
    return destroyedAt
  }

  async isDestroyed(org: string): Promise<boolean> {
    return (await this.#store.read(org, TOMBSTONE)) !== null
  }

  /** Public facts of every version, oldest first. */
  async facts(org: string): Promise<OrganizationKeyFacts[]> {
    if (await this.isDestroyed(org)) throw new EnvelopeError('key-destroyed')
    return (await this.#records(org)).map(({ version, minVersion, createdAt, wrapped }) => ({
      version,
      minVersion,
      createdAt,
      rootKekId: wrapped.kekId,
    }))
  }

  async #load(org: string): Promise<Ring | null> {
    if (await this.isDestroyed(org)) throw new EnvelopeError('key-destroyed')
    const records = await this.#records(org)
    const newest = records.at(-1)
    if (newest === undefined) return null
    const usable = records.filter(({ version }) => version >= newest.minVersion)
    const keys = new Map<number, Secret>()
    for (const record of usable) {
      keys.set(record.version, await this.#root.unwrap(record.wrapped, contextOf(org, record)))
    }
    const { version, minVersion, createdAt } = newest
    return { newest: version, minVersion, createdAt, keys, derived: new Map(), loadedAt: this.#now().getTime() }
  }

  async #versionsOf(org: string): Promise<number[]> {
    const names = await this.#store.list(org)
    return names.flatMap((name) => (name.startsWith('key-') ? [Number(name.slice(4))] : []))
  }

  async #records(org: string): Promise<OrganizationKeyRecord[]> {
    const records: OrganizationKeyRecord[] = []
    for (const version of await this.#versionsOf(org)) {
      const bytes = await this.#store.read(org, keyName(version))
      const record = bytes === null ? null : decodeRecord(bytes)
      if (record?.type !== 'organizationKey' || record.version !== version) throw new EnvelopeError()
      records.push(record)
    }
    return records
  }

  async #add(org: string, version: number, minVersion: number): Promise<void> {
    const facts = { version, minVersion, createdAt: this.#now().getTime() }
    const { dek, ...wrapped } = await this.#root.generateDek(contextOf(org, facts))
    dek[Symbol.dispose]()
    const record = encodeRecord({ type: 'organizationKey', ...facts, wrapped })
    if (!(await this.#store.create(org, keyName(version), record))) throw new EnvelopeError()
    this.#forget(org)
  }

  async #rewrite(org: string, record: OrganizationKeyRecord, change: { minVersion: number }): Promise<void> {
    using key = await this.#root.unwrap(record.wrapped, contextOf(org, record))
    const changed = { ...record, ...change }
    const wrapped = await this.#root.wrap(key, contextOf(org, changed))
    await this.#store.replace(org, keyName(record.version), encodeRecord({ ...changed, wrapped }))
  }

  #keep(org: string, ring: Ring): void {
    this.#drop(org)
    this.#rings.set(org, ring)
    const [oldest] = this.#rings.keys()
    if (this.#rings.size > CACHE_ORGANIZATIONS && oldest !== undefined) this.#drop(oldest)
  }

  #forget(org: string): void {
    this.#epoch += 1
    this.#drop(org)
  }

  #drop(org: string): void {
    const ring = this.#rings.get(org)
    for (const key of [...(ring?.keys.values() ?? []), ...(ring?.derived.values() ?? [])]) key[Symbol.dispose]()
    this.#rings.delete(org)
  }
}
