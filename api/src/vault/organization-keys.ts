import { CredentialEntries, type CredentialRef } from './credential-entries.js'
import { type EnvelopeContext, EnvelopeError } from './envelope-context.js'
import { createTurns } from './in-turn.js'
import { hkdfSha512 } from './hkdf.js'
import type { KeyManager, RootKeys, WrappedDek } from './key-manager.js'
import { backUpKeyStore, type KeyStoreBackup } from './back-up-key-store.js'
import type { KeyStore } from './key-store.js'
import { createLocalKeyManager } from './local-key-manager.js'
import { type OrganizationKeyFacts, OrganizationKeyring, type Ring } from './organization-keyring.js'
import { Secret } from './secret.js'

/** Of one organization, in memory. */
const MAX_DERIVED = 1000

type OrganizationFacts = { org: string; keys: OrganizationKeyFacts[]; credentials: number }

/**
 * Root → organization key → credential's key → data key. Seals and opens envelopes as any `KeyManager`, and is where
 * keys are renewed and destroyed. Changes to the key store are made one at a time.
 */
export interface OrganizationKeys extends KeyManager {
  readonly rootId: string
  /** Brings the organization's keys into memory, so that opening does not wait for the root. */
  prepare(org: string): Promise<void>
  newestVersion(org: string): Promise<number>
  rotate(org: string): Promise<number>
  rewrapEntries(org: string, limit: number): Promise<{ moved: number; left: number }>
  retireOlder(org: string): Promise<number[]>
  rewrapRoot(org: string): Promise<number>
  destroyCredential(ref: CredentialRef): Promise<Date>
  destroyVersion(ref: CredentialRef, version: number): Promise<void>
  destroyOrganization(org: string): Promise<Date>
  organizations(): Promise<string[]>
  /** Every record as it lies in the store: wrapped. */
  backup(): Promise<KeyStoreBackup>
  describe(org: string): Promise<OrganizationFacts | null>
}

export type OrganizationKeysOptions = { root: RootKeys; store: KeyStore; now?: () => Date }

export function createOrganizationKeys({
  root,
  store,
  now = () => new Date(),
}: OrganizationKeysOptions): OrganizationKeys {
  const keyring = new OrganizationKeyring(root, store, now)
  const entries = new CredentialEntries(keyring, store, now)
  const inTurn = createTurns()

  /** Works with the newest key of one credential version and, if named, an older one, while they are in memory. */
  async function withKeys<T>(
    ctx: EnvelopeContext,
    kekVersion: number | null,
    work: (keys: RootKeys) => Promise<T>,
  ): Promise<T> {
    const entry = await entries.find(refOf(ctx), Number(ctx.version))
    if (entry === null) throw new EnvelopeError((await keyring.isDestroyed(ctx.org)) ? 'key-destroyed' : 'unreadable')
    return keyring.use(ctx.org, (ring) => {
      const versions = kekVersion === null ? [ring.newest] : [ring.newest, kekVersion]
      return work(createLocalKeyManager({ kekId: kekIdOf(ctx.org), keks: deriveKeks(ring, versions, entry) }))
    })
  }

  /** Rows of before there were organization keys lie under the root itself, until they are re-wrapped. */
  async function unwrap(key: WrappedDek, ctx: EnvelopeContext): Promise<Secret> {
    if (key.kekId === kekIdOf(ctx.org)) return withKeys(ctx, key.kekVersion, (keys) => keys.unwrap(key, ctx))
    if (await keyring.isDestroyed(ctx.org)) throw new EnvelopeError('key-destroyed')
    await entries.find(refOf(ctx), Number(ctx.version))
    return root.unwrap(key, ctx)
  }

  async function prepareToSeal(ctx: EnvelopeContext): Promise<void> {
    const version = Number(ctx.version)
    await keyring.use(ctx.org, () => {}).catch(() => inTurn(() => keyring.ensure(ctx.org)))
    if ((await entries.find(refOf(ctx), version)) === null) await inTurn(() => entries.add(refOf(ctx), version))
  }

  return {
    id: 'organization-keys',
    rootId: root.id,
    async generateDek(ctx) {
      if (!entries.remembers(refOf(ctx), Number(ctx.version))) await prepareToSeal(ctx)
      return withKeys(ctx, null, (keys) => keys.generateDek(ctx))
    },
    unwrap,
    async rewrap(key, ctx) {
      if (key.kekId === kekIdOf(ctx.org)) return withKeys(ctx, key.kekVersion, (keys) => keys.rewrap(key, ctx))
      using dek = await unwrap(key, ctx)
      await prepareToSeal(ctx)
      return await withKeys(ctx, null, (keys) => keys.wrap(dek, ctx))
    },
    health: () => root.health(),
    prepare: (org) => keyring.use(org, () => {}),
    newestVersion: (org) => keyring.use(org, (ring) => ring.newest),
    rotate: (org) => inTurn(() => keyring.rotate(org)),
    rewrapEntries: (org, limit) => inTurn(() => entries.rewrap(org, limit)),
    retireOlder: (org) => inTurn(() => keyring.retireOlder(org)),
    rewrapRoot: (org) => inTurn(() => keyring.rewrapRoot(org)),
    destroyCredential: (ref) => inTurn(() => entries.destroy(ref)),
    destroyVersion: (ref, version) => inTurn(() => entries.destroyVersion(ref, version)),
    destroyOrganization: (org) =>
      inTurn(async () => {
        const destroyedAt = await keyring.destroy(org)
        entries.forgetAll()
        return destroyedAt
      }),
    organizations: () => store.organizations(),
    backup: () => inTurn(() => backUpKeyStore(store, root.id, now())),
    async describe(org) {
      if (await keyring.isDestroyed(org)) return null
      return { org, keys: await keyring.facts(org), credentials: await entries.count(org) }
    },
  }
}

const refOf = (ctx: EnvelopeContext): CredentialRef => ({ org: ctx.org, credential: ctx.credential })
const kekIdOf = (org: string): string => `org:${org}`

/** [S6] */
function deriveKeks(ring: Ring, versions: readonly number[], entry: Buffer): Map<number, Secret> {
  const keks = new Map<number, Secret>()
  for (const version of versions) {
    const orgKey = ring.keys.get(version)
    if (orgKey === undefined || version < ring.minVersion) throw new EnvelopeError()
    const name = `${version}/${entry.toString('latin1')}`
    const kek =
      ring.derived.get(name) ?? new Secret(orgKey.use((key) => hkdfSha512(key, entry, 'cre1:credential-kek')[0]))
    if (ring.derived.size < MAX_DERIVED) ring.derived.set(name, kek)
    keks.set(version, kek)
  }
  return keks
}
