import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { newId } from '@capstan/migrations'

import { openDirectoryKeyStore } from '../../src/vault/directory-key-store.js'
import type { EnvelopeContext } from '../../src/vault/envelope-context.js'
import { openEnvelope, sealEnvelope } from '../../src/vault/envelope.js'
import type { KeyManager, RootKeys } from '../../src/vault/key-manager.js'
import type { KeyStore } from '../../src/vault/key-store.js'
import { createOrganizationKeys, type OrganizationKeys } from '../../src/vault/organization-keys.js'
import { Secret } from '../../src/vault/secret.js'
import { createTestRoot } from '../test-broker.js'

export type KeyLab = AsyncDisposable & {
  folder: string
  root: RootKeys
  store: KeyStore
  keys: OrganizationKeys
  clock: { now: Date }
  /** The same store as another process would find it: nothing in memory. */
  reopen(root?: RootKeys): Promise<OrganizationKeys>
}

export async function openKeyLab(root: RootKeys = createTestRoot()): Promise<KeyLab> {
  const home = await mkdtemp(join(tmpdir(), 'capstan-keys-'))
  const folder = join(home, 'store')
  const clock = { now: new Date() }
  const open = async (of: RootKeys) =>
    createOrganizationKeys({ root: of, store: await openDirectoryKeyStore(folder), now: () => clock.now })
  return {
    folder,
    root,
    store: await openDirectoryKeyStore(folder),
    keys: await open(root),
    clock,
    reopen: (other = root) => open(other),
    [Symbol.asyncDispose]: () => rm(home, { recursive: true }),
  }
}

/** For filling a directory store with thousands of records at once: nothing is synced until they are copied. */
export function createMemoryKeyStore(): KeyStore {
  const records = new Map<string, Buffer>()
  const id = (org: string, name: string) => `${org}/${name}`
  const put = async (org: string, name: string, record: Uint8Array) =>
    void records.set(id(org, name), Buffer.from(record))
  const under = (org: string) => [...records.keys()].filter((key) => key.startsWith(`${org}/`))
  return {
    read: async (org, name) => records.get(id(org, name)) ?? null,
    create: async (org, name, record) => !records.has(id(org, name)) && (await put(org, name, record), true),
    replace: put,
    shred: put,
    remove: async (org, name) => void records.delete(id(org, name)),
    list: async (org) =>
      under(org)
        .map((key) => key.slice(org.length + 1))
        .toSorted(),
    organizations: async () => [...new Set([...records.keys()].map((key) => key.split('/')[0] ?? ''))].toSorted(),
  }
}

export async function copyKeyStore(from: KeyStore, to: KeyStore): Promise<void> {
  for (const org of await from.organizations()) {
    for (const name of await from.list(org)) {
      const record = await from.read(org, name)
      if (record !== null) await to.replace(org, name, record)
    }
  }
}

export const contextOf = (change: Partial<EnvelopeContext> = {}): EnvelopeContext => ({
  org: newId(),
  app: newId(),
  credential: newId(),
  kind: 'android.keystore',
  version: '1',
  ...change,
})

export async function sealText(keys: KeyManager, ctx: EnvelopeContext, text = randomBytes(8).toString('hex')) {
  return { text, ...(await sealEnvelope(keys, ctx, new Secret(Buffer.from(text)))) }
}

export async function openText(keys: KeyManager, ctx: EnvelopeContext, envelope: Uint8Array): Promise<string> {
  using secret = await openEnvelope(keys, ctx, envelope)
  return secret.use((bytes) => bytes.toString('utf8'))
}
