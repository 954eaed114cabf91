import { CreateKeyCommand, KMSClient } from '@aws-sdk/client-kms'
import { newId } from '@capstan/migrations'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { createAwsKeyManager } from '../../src/vault/aws-key-manager.js'
import type { RootKeys } from '../../src/vault/key-manager.js'
import { createRootKeyring } from '../../src/vault/root-keyring.js'
import type { Secret } from '../../src/vault/secret.js'
import { createTestRoot } from '../test-broker.js'
import { contextOf, openKeyLab, openText, sealText } from './key-lab.js'
import { type MotoServer, startMotoServer } from './moto-server.js'

const region = 'eu-central-1'
const refusal = { name: 'EnvelopeError', message: 'The envelope cannot be opened.' }
const ctx = { org: newId(), purpose: 'organization-key', version: '1' }
const bytesOf = (secret: Secret) => secret.use((bytes) => Buffer.from(bytes))

let moto: MotoServer | null = null
let kms: KMSClient
beforeAll(async () => {
  process.env.AWS_ACCESS_KEY_ID = 'test'
  process.env.AWS_SECRET_ACCESS_KEY = 'test'
  moto = await startMotoServer()
  if (moto !== null) kms = new KMSClient({ region, endpoint: moto.url })
})
afterAll(async () => {
  await moto?.[Symbol.asyncDispose]()
})

async function createAwsRoot(): Promise<RootKeys> {
  if (moto === null) throw new Error('moto is not there')
  const { KeyMetadata } = await kms.send(new CreateKeyCommand({}))
  const keyId = KeyMetadata?.Arn ?? ''
  return createAwsKeyManager({ keyId, region, endpoint: moto.url })
}

describe.each([
  ['the local master key', async () => createTestRoot(newId())],
  ['AWS KMS', createAwsRoot],
])('%s', (name, create) => {
  let root: RootKeys
  beforeAll(async () => {
    if (name === 'AWS KMS' && moto === null) return
    root = await create()
  })
  const contract = (title: string, work: () => Promise<void>) =>
    test(title, async ({ skip }) => {
      if (name === 'AWS KMS' && moto === null) skip('moto is not there')
      await work()
    })

  contract('a new key has 32 bytes and unwraps in its context', async () => {
    const { dek, ...wrapped } = await root.generateDek(ctx)
    expect(bytesOf(dek)).toHaveLength(32)
    expect(Buffer.from(wrapped.wrapped).includes(bytesOf(dek))).toBe(false)
    expect(wrapped).toMatchObject({ kekId: root.id, kekVersion: 1 })
    expect(bytesOf(await root.unwrap(wrapped, ctx))).toEqual(bytesOf(dek))
  })

  contract('a key that exists is wrapped, differently each time', async () => {
    const { dek } = await root.generateDek(ctx)
    const [one, two] = [await root.wrap(dek, ctx), await root.wrap(dek, ctx)]
    expect(Buffer.from(one.wrapped).equals(two.wrapped)).toBe(false)
    for (const wrapped of [one, two]) expect(bytesOf(await root.unwrap(wrapped, ctx))).toEqual(bytesOf(dek))
  })

  contract('any other context is refused', async () => {
    const { dek: _dek, ...wrapped } = await root.generateDek(ctx)
    const others = [
      { ...ctx, org: newId() },
      { ...ctx, purpose: 'other' },
      { ...ctx, version: '2' },
      { ...ctx, more: 'x' },
      { org: ctx.org, purpose: ctx.purpose },
    ]
    for (const other of others) {
      await expect(root.unwrap(wrapped, other as never)).rejects.toMatchObject(refusal)
      await expect(root.rewrap(wrapped, other as never)).rejects.toMatchObject(refusal)
    }
    await root.unwrap(wrapped, ctx)
  })

  contract('truncated, extended, altered and empty keys are refused', async () => {
    const { dek: _dek, ...key } = await root.generateDek(ctx)
    const good = Buffer.from(key.wrapped)
    const flipped = Buffer.from(good)
    flipped.writeUInt8(flipped.readUInt8(good.length - 1) ^ 1, good.length - 1)
    const altered = [good.subarray(0, -1), good.subarray(0, 10), Buffer.alloc(0), flipped, Buffer.alloc(10_000)]
    for (const wrapped of altered) {
      await expect(root.unwrap({ ...key, wrapped }, ctx)).rejects.toMatchObject(refusal)
    }
    await root.unwrap(key, ctx)
  })

  contract("another root's key, and another version, are refused", async () => {
    const { dek: _dek, ...key } = await root.generateDek(ctx)
    const other = await create()
    await expect(other.unwrap(key, ctx)).rejects.toMatchObject(refusal)
    // KMS may say of such a ciphertext that access is denied, which it says of keys too: refused, as unavailable.
    const either = name === 'AWS KMS' ? /EnvelopeError|KeysUnavailable/ : /EnvelopeError/
    const claimed = other.unwrap({ ...key, kekId: other.id }, ctx)
    await expect(claimed).rejects.toMatchObject({ name: expect.stringMatching(either) as string })
    await expect(root.unwrap({ ...key, kekVersion: 2 }, ctx)).rejects.toMatchObject(refusal)
    expect([root.knows(root.id), root.knows(other.id)]).toEqual([true, false])
  })

  contract('rewrap keeps the key and changes its wrapping', async () => {
    const { dek, ...key } = await root.generateDek(ctx)
    const moved = await root.rewrap(key, ctx)
    expect(Buffer.from(moved.wrapped).equals(key.wrapped)).toBe(false)
    expect(bytesOf(await root.unwrap(moved, ctx))).toEqual(bytesOf(dek))
  })

  contract('many at once do not mix', async () => {
    const made = await Promise.all(
      Array.from({ length: 20 }, (_, index) => root.generateDek({ ...ctx, version: `${index}` })),
    )
    const read = await Promise.all(made.map((key, index) => root.unwrap(key, { ...ctx, version: `${index}` })))
    expect(read.map((secret) => bytesOf(secret).toString('hex'))).toEqual(
      made.map(({ dek }) => bytesOf(dek).toString('hex')),
    )
    expect(new Set(made.map(({ dek }) => bytesOf(dek).toString('hex'))).size).toBe(20)
  })

  contract('is healthy', async () => {
    expect(await root.health()).toEqual({ writable: true, kekVersion: 1 })
  })

  contract('carries a key store, and hands it over to the next root', async () => {
    await using lab = await openKeyLab(root)
    const at = contextOf()
    const sealed = await sealText(lab.keys, at)
    const next = await create()
    const both = await lab.reopen(createRootKeyring(next, [root]))
    expect(await both.rewrapRoot(at.org)).toBe(1)
    expect(await openText(await lab.reopen(next), at, sealed.envelope)).toBe(sealed.text)
    await expect(openText(await lab.reopen(root), at, sealed.envelope)).rejects.toMatchObject(refusal)
  })
})

test('a key store moves from the local master key to KMS', async ({ skip }) => {
  if (moto === null) skip('moto is not there')
  await using lab = await openKeyLab()
  const at = contextOf()
  const sealed = await sealText(lab.keys, at)
  const aws = await createAwsRoot()
  expect(await (await lab.reopen(createRootKeyring(aws, [lab.root]))).rewrapRoot(at.org)).toBe(1)
  expect(await openText(await lab.reopen(aws), at, sealed.envelope)).toBe(sealed.text)
})
