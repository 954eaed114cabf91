import { cp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { newId } from '@capstan/migrations'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import { openDirectoryKeyStore } from '../../src/vault/directory-key-store.js'
import { rewrapEnvelope, sealEnvelope } from '../../src/vault/envelope.js'
import { createRootKeyring } from '../../src/vault/root-keyring.js'
import { Secret } from '../../src/vault/secret.js'
import { createTestRoot } from '../test-broker.js'
import { contextOf, type KeyLab, openKeyLab, openText, sealText } from './key-lab.js'

const refusal = (reason: string) => ({ name: 'EnvelopeError', message: 'The envelope cannot be opened.', reason })

let lab: KeyLab
beforeEach(async () => {
  lab = await openKeyLab()
})
afterEach(async () => {
  await lab[Symbol.asyncDispose]()
})

describe('an envelope under an organization key', () => {
  test('names the organization and its key version, and opens, also in another process', async () => {
    const ctx = contextOf()
    const sealed = await sealText(lab.keys, ctx)
    expect(sealed).toMatchObject({ kekId: `org:${ctx.org}`, kekVersion: 1 })
    expect(await openText(lab.keys, ctx, sealed.envelope)).toBe(sealed.text)
    expect(await openText(await lab.reopen(), ctx, sealed.envelope)).toBe(sealed.text)
  })

  test.each(['org', 'app', 'credential', 'kind', 'version'] as const)('does not open for another %s', async (key) => {
    const ctx = contextOf()
    const sealed = await sealText(lab.keys, ctx)
    const other = contextOf({ ...ctx, [key]: key === 'version' ? '2' : newId() })
    await sealText(lab.keys, other)
    await expect(openText(lab.keys, other, sealed.envelope)).rejects.toMatchObject(refusal('unreadable'))
  })

  test('does not open with the key store of another, or an empty one, or another root', async () => {
    const ctx = contextOf()
    const sealed = await sealText(lab.keys, ctx)
    await using other = await openKeyLab(lab.root)
    await expect(openText(other.keys, ctx, sealed.envelope)).rejects.toMatchObject(refusal('unreadable'))
    await sealText(other.keys, ctx)
    await expect(openText(other.keys, ctx, sealed.envelope)).rejects.toMatchObject(refusal('unreadable'))
    const stranger = await lab.reopen(createTestRoot())
    await expect(openText(stranger, ctx, sealed.envelope)).rejects.toMatchObject(refusal('unreadable'))
  })

  test('many first uses of an organization at once agree on one key', async () => {
    const org = newId()
    const sealed = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const ctx = contextOf({ org })
        return { ctx, ...(await sealText(lab.keys, ctx)) }
      }),
    )
    const reopened = await lab.reopen()
    for (const { ctx, envelope, text } of sealed) expect(await openText(reopened, ctx, envelope)).toBe(text)
    expect((await reopened.describe(org))?.keys).toHaveLength(1)
  })
})

test('what was sealed under the master key itself opens until and after it is re-wrapped', async () => {
  const ctx = contextOf()
  const old = await sealEnvelope(lab.root, ctx, new Secret(Buffer.from('legacy')))
  expect(old.kekId).toBe('local:test')
  expect(await openText(lab.keys, ctx, old.envelope)).toBe('legacy')
  const moved = await rewrapEnvelope(lab.keys, ctx, old.envelope)
  expect(moved).toMatchObject({ kekId: `org:${ctx.org}`, kekVersion: 1 })
  expect(await openText(await lab.reopen(), ctx, moved.envelope)).toBe('legacy')
  await lab.keys.destroyCredential(ctx)
  for (const { envelope } of [old, moved]) {
    await expect(openText(lab.keys, ctx, envelope)).rejects.toMatchObject(refusal('key-destroyed'))
  }
})

describe('rotation', () => {
  test('seals under the new key, opens under both, and drops the old one when it is retired', async () => {
    const ctx = contextOf()
    const old = await sealText(lab.keys, ctx)
    expect(await lab.keys.rotate(ctx.org)).toBe(2)
    const fresh = await sealText(lab.keys, ctx)
    expect(fresh.kekVersion).toBe(2)
    expect(await openText(lab.keys, ctx, old.envelope)).toBe(old.text)
    const moved = await rewrapEnvelope(lab.keys, ctx, old.envelope)
    expect(moved.kekVersion).toBe(2)
    expect(await lab.keys.rewrapEntries(ctx.org, 10)).toEqual({ moved: 1, left: 0 })
    expect(await lab.keys.rewrapEntries(ctx.org, 10)).toEqual({ moved: 0, left: 0 })
    expect(await lab.keys.retireOlder(ctx.org)).toEqual([1])
    const reopened = await lab.reopen()
    expect(await openText(reopened, ctx, moved.envelope)).toBe(old.text)
    await expect(openText(reopened, ctx, old.envelope)).rejects.toMatchObject(refusal('unreadable'))
    expect(await readdir(join(lab.folder, ctx.org))).toEqual([`credential-${ctx.credential}`, 'key-00000002'])
  })

  test('a retired key that is put back from a backup is not used: its version is below the minimum', async () => {
    const ctx = contextOf()
    const old = await sealText(lab.keys, ctx)
    const file = join(lab.folder, ctx.org, 'key-00000001')
    const backup = await readFile(file)
    await lab.keys.rotate(ctx.org)
    await lab.keys.rewrapEntries(ctx.org, 10)
    await lab.keys.retireOlder(ctx.org)
    await writeFile(file, backup)
    const reopened = await lab.reopen()
    expect((await reopened.describe(ctx.org))?.keys.at(-1)).toMatchObject({ version: 2, minVersion: 2 })
    await expect(openText(reopened, ctx, old.envelope)).rejects.toMatchObject(refusal('unreadable'))
  })

  test('of the root moves organization keys and nothing else; the old root is needed no more', async () => {
    const ctx = contextOf()
    const sealed = await sealText(lab.keys, ctx)
    const next = createTestRoot('next')
    const both = await lab.reopen(createRootKeyring(next, [lab.root]))
    expect(await openText(both, ctx, sealed.envelope)).toBe(sealed.text)
    expect(await both.rewrapRoot(ctx.org)).toBe(1)
    expect(await both.rewrapRoot(ctx.org)).toBe(0)
    expect(await openText(await lab.reopen(next), ctx, sealed.envelope)).toBe(sealed.text)
    const before = await lab.reopen()
    await expect(openText(before, ctx, sealed.envelope)).rejects.toMatchObject(refusal('unreadable'))
  })
})

describe('destruction', () => {
  test('of a credential leaves its neighbours; nothing is sealed for it again; it may be asked for twice', async () => {
    const ctx = contextOf()
    const neighbour = contextOf({ org: ctx.org })
    const [one, other] = [await sealText(lab.keys, ctx), await sealText(lab.keys, neighbour)]
    const at = await lab.keys.destroyCredential(ctx)
    lab.clock.now = new Date(lab.clock.now.getTime() + 60_000)
    expect(await lab.keys.destroyCredential(ctx)).toEqual(at)
    for (const keys of [lab.keys, await lab.reopen()]) {
      await expect(openText(keys, ctx, one.envelope)).rejects.toMatchObject(refusal('key-destroyed'))
      await expect(sealText(keys, ctx)).rejects.toMatchObject(refusal('key-destroyed'))
      expect(await openText(keys, neighbour, other.envelope)).toBe(other.text)
    }
  })

  test('of one version leaves the others', async () => {
    const ctx = contextOf()
    const second = { ...ctx, version: '2' }
    const [one, two] = [await sealText(lab.keys, ctx), await sealText(lab.keys, second)]
    await lab.keys.destroyVersion(ctx, 1)
    for (const keys of [lab.keys, await lab.reopen()]) {
      await expect(openText(keys, ctx, one.envelope)).rejects.toMatchObject(refusal('key-destroyed'))
      expect(await openText(keys, second, two.envelope)).toBe(two.text)
    }
  })

  test('of an organization removes every record but the tombstone, also of one that a crash left half gone', async () => {
    const ctx = contextOf()
    const sealed = await sealText(lab.keys, ctx)
    const saved = `${lab.folder}-saved`
    await cp(join(lab.folder, ctx.org), saved, { recursive: true })
    await lab.keys.destroyOrganization(ctx.org)
    expect(await readdir(join(lab.folder, ctx.org))).toEqual(['destroyed'])
    // As after a crash between the tombstone and the removal of the rest.
    await cp(saved, join(lab.folder, ctx.org), { recursive: true })
    const reopened = await lab.reopen()
    await expect(openText(reopened, ctx, sealed.envelope)).rejects.toMatchObject(refusal('key-destroyed'))
    await expect(reopened.rotate(ctx.org)).rejects.toMatchObject(refusal('key-destroyed'))
    await reopened.destroyOrganization(ctx.org)
    expect(await readdir(join(lab.folder, ctx.org))).toEqual(['destroyed'])
  })

  test('while an organization key is being read leaves nothing usable in memory', async () => {
    const ctx = contextOf()
    const sealed = await sealText(lab.keys, ctx)
    const keys = await lab.reopen()
    await Promise.allSettled([openText(keys, ctx, sealed.envelope), keys.destroyOrganization(ctx.org)])
    await expect(openText(keys, ctx, sealed.envelope)).rejects.toMatchObject(refusal('key-destroyed'))
  })
})

describe('records', () => {
  test('lie in closed files and hold no key in the clear', async () => {
    const ctx = contextOf()
    await sealText(lab.keys, ctx)
    expect((await stat(lab.folder)).mode & 0o777).toBe(0o700)
    expect((await stat(join(lab.folder, ctx.org))).mode & 0o777).toBe(0o700)
    for (const name of await readdir(join(lab.folder, ctx.org))) {
      expect((await stat(join(lab.folder, ctx.org, name))).mode & 0o777).toBe(0o600)
    }
  })

  test.each(['key', 'entries'] as const)('any bit of the %s flipped, and any truncation, is refused', async (which) => {
    const ctx = contextOf()
    const sealed = await sealText(lab.keys, ctx)
    const file = join(lab.folder, ctx.org, which === 'key' ? 'key-00000001' : `credential-${ctx.credential}`)
    const good = await readFile(file)
    const refused = async () => {
      const keys = await lab.reopen()
      await expect(openText(keys, ctx, sealed.envelope)).rejects.toMatchObject({ name: 'EnvelopeError' })
    }
    for (let bit = 0; bit < good.length * 8; bit += 5) {
      const altered = Buffer.from(good)
      altered.writeUInt8(altered.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
      await writeFile(file, altered)
      await refused()
    }
    await writeFile(file, good)
    await truncate(file, good.length - 1)
    await refused()
    await writeFile(file, good)
    expect(await openText(await lab.reopen(), ctx, sealed.envelope)).toBe(sealed.text)
  })

  test('of two organizations swapped open neither', async () => {
    const [one, other] = [contextOf(), contextOf()]
    const [sealedOne, sealedOther] = [await sealText(lab.keys, one), await sealText(lab.keys, other)]
    const file = (org: string) => join(lab.folder, org, 'key-00000001')
    const [a, b] = [await readFile(file(one.org)), await readFile(file(other.org))]
    await writeFile(file(one.org), b)
    await writeFile(file(other.org), a)
    const keys = await lab.reopen()
    await expect(openText(keys, one, sealedOne.envelope)).rejects.toMatchObject(refusal('unreadable'))
    await expect(openText(keys, other, sealedOther.envelope)).rejects.toMatchObject(refusal('unreadable'))
  })
})

describe('the directory store', () => {
  test('creates once, replaces, and forgets drafts of a crash', async () => {
    const org = newId()
    expect(await lab.store.create(org, 'key-1', Buffer.from('a'))).toBe(true)
    expect(await lab.store.create(org, 'key-1', Buffer.from('b'))).toBe(false)
    expect(String(await lab.store.read(org, 'key-1'))).toBe('a')
    await lab.store.replace(org, 'key-1', Buffer.from('c'))
    await writeFile(join(lab.folder, org, 'key-1.draft'), 'half')
    const again = await openDirectoryKeyStore(lab.folder)
    expect(await readdir(join(lab.folder, org))).toEqual(['key-1'])
    expect(String(await again.read(org, 'key-1'))).toBe('c')
    await again.remove(org, 'key-1')
    await again.remove(org, 'key-1')
    expect(await again.read(org, 'key-1')).toBeNull()
    await rm(join(lab.folder, org), { recursive: true })
    expect(await again.list(org)).toEqual([])
  })

  test.each(['..', '../x', 'a/b', 'KEY', 'key-1.draft', ''])('a record cannot be named %j', async (name) => {
    await expect(lab.store.replace(newId(), name, Buffer.from('x'))).rejects.toThrow()
    await expect(lab.store.replace(name, 'key-1', Buffer.from('x'))).rejects.toThrow()
  })
})
