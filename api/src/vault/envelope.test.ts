import { createCipheriv, hkdfSync, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'

import { describe, expect, test } from 'vitest'

import { encodeContext, type EnvelopeContext } from './envelope-context.js'
import { openEnvelope, rewrapEnvelope, sealEnvelope } from './envelope.js'
import { createLocalKeyManager } from './local-key-manager.js'
import { Secret } from './secret.js'

type Vector = {
  context: EnvelopeContext
  kekId: string
  kekVersion: number
} & Record<
  | 'encodedContextHex'
  | 'kekHex'
  | 'dekHex'
  | 'saltHex'
  | 'wrapNonceHex'
  | 'bodyNonceHex'
  | 'plaintext'
  | 'wrappedHex'
  | 'envelopeHex',
  string
>
const path = new URL('../../test/vectors/envelope.json', import.meta.url)
const { envelope: vector } = JSON.parse(readFileSync(path, 'utf8')) as { envelope: Vector }
const hex = (text: string) => Buffer.from(text, 'hex')
const envelope = hex(vector.envelopeHex)
const ctx = vector.context

const keysAt = (...versions: number[]) =>
  createLocalKeyManager({
    kekId: vector.kekId,
    keks: new Map(
      versions.map((version) => [version, new Secret(version === 2 ? hex(vector.kekHex) : randomBytes(32))]),
    ),
  })
const keys = keysAt(2)
const text = (secret: Secret) => secret.use((bytes) => bytes.toString('utf8'))
const refusal = { name: 'EnvelopeError', message: 'The envelope cannot be opened.' }

/** Hands out the vector's bytes in the order they are asked for. */
function scripted(...values: string[]) {
  return (length: number) => {
    const next = hex(values.shift()!)
    expect(next.length).toBe(length)
    return next
  }
}

describe('vector', () => {
  test('context encodes to the published bytes', () => {
    expect(encodeContext(ctx).toString('hex')).toBe(vector.encodedContextHex)
  })

  test('sealing gives the published envelope byte for byte', async () => {
    const random = scripted(vector.dekHex, vector.wrapNonceHex, vector.saltHex, vector.bodyNonceHex)
    const manager = createLocalKeyManager({
      kekId: vector.kekId,
      keks: new Map([[2, new Secret(hex(vector.kekHex))]]),
      random,
    })
    const sealed = await sealEnvelope(manager, ctx, new Secret(Buffer.from(vector.plaintext)), random)
    expect(sealed.envelope.toString('hex')).toBe(vector.envelopeHex)
    expect(sealed).toMatchObject({ kekId: vector.kekId, kekVersion: 2 })
  })

  test('opening gives the published plaintext', async () => {
    expect(text(await openEnvelope(keys, ctx, envelope))).toBe(vector.plaintext)
  })
})

describe('an altered envelope does not open', () => {
  test('any single bit flipped', async () => {
    let refused = 0
    for (let bit = 0; bit < envelope.length * 8; bit += 1) {
      const altered = Buffer.from(envelope)
      altered.writeUInt8(altered.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
      await expect(openEnvelope(keys, ctx, altered)).rejects.toMatchObject(refusal)
      refused += 1
    }
    expect(refused).toBe(1616)
  })

  test('any truncation', async () => {
    for (let length = 0; length < envelope.length; length += 1) {
      await expect(openEnvelope(keys, ctx, envelope.subarray(0, length))).rejects.toMatchObject(refusal)
    }
  })

  test('a trailing byte', async () => {
    await expect(openEnvelope(keys, ctx, Buffer.concat([envelope, Buffer.alloc(1)]))).rejects.toMatchObject(refusal)
  })

  test.each(['app', 'credential', 'kind', 'org', 'version'] as const)('another %s', async (key) => {
    await expect(openEnvelope(keys, { ...ctx, [key]: `${ctx[key]}x` }, envelope)).rejects.toMatchObject(refusal)
  })

  test.each([0x0000, 0x0002, 0xffff])('suite %i', async (suite) => {
    const altered = Buffer.from(envelope)
    altered.writeUInt16BE(suite, 4)
    await expect(openEnvelope(keys, ctx, altered)).rejects.toMatchObject(refusal)
  })

  test('a commitment of zeros', async () => {
    const altered = Buffer.from(envelope).fill(0, 50, 82)
    await expect(openEnvelope(keys, ctx, altered)).rejects.toMatchObject(refusal)
  })
})

describe('lengths of tag and nonce are fixed', () => {
  const bodyOffset = 82 + 2 + vector.kekId.length + 4 + 2 + 60 + 4
  const withBody = (body: Buffer) => {
    const head = Buffer.from(envelope.subarray(0, bodyOffset))
    head.writeUInt32BE(body.length, bodyOffset - 4)
    return Buffer.concat([head, body])
  }
  const body = envelope.subarray(bodyOffset)

  test('the untouched body opens when put back', async () => {
    expect(text(await openEnvelope(keys, ctx, withBody(body)))).toBe(vector.plaintext)
  })

  test.each([12, 8, 4, 0])('a body tag cut to %i bytes', async (length) => {
    const cut = body.subarray(0, body.length - 16 + length)
    await expect(openEnvelope(keys, ctx, withBody(cut))).rejects.toMatchObject(refusal)
  })

  test.each([59, 61, 56, 48, 44, 0])('a wrapped key of %i bytes', async (length) => {
    const wrapped = Buffer.concat([hex(vector.wrappedHex), Buffer.alloc(1)]).subarray(0, length)
    await expect(
      keys.unwrap({ wrapped, kekId: vector.kekId, kekVersion: vector.kekVersion }, ctx),
    ).rejects.toMatchObject(refusal)
  })

  test('a wrapped key whose nonce is one byte short or long', async () => {
    const whole = hex(vector.wrappedHex)
    for (const wrapped of [whole.subarray(1), Buffer.concat([Buffer.alloc(1), whole])]) {
      await expect(
        keys.unwrap({ wrapped, kekId: vector.kekId, kekVersion: vector.kekVersion }, ctx),
      ).rejects.toMatchObject(refusal)
    }
  })
})

test('a body that is valid under another data key is refused by the commitment', async () => {
  // An insider re-encrypts the body under a key of its own and wraps that key correctly, but keeps the commitment.
  const own = randomBytes(32)
  const script = [own, hex(vector.wrapNonceHex)]
  const manager = createLocalKeyManager({
    kekId: vector.kekId,
    keks: new Map([[2, new Secret(hex(vector.kekHex))]]),
    random: () => script.shift()!,
  })
  const { wrapped } = await manager.generateDek(ctx)
  const fixed = envelope.subarray(0, 82)
  const key = Buffer.from(hkdfSync('sha512', own, hex(vector.saltHex), 'cre1:encrypt', 32))
  const cipher = createCipheriv('aes-256-gcm', key, hex(vector.bodyNonceHex), { authTagLength: 16 })
  cipher.setAAD(Buffer.concat([Buffer.from('cre1:body\0', 'latin1'), fixed, encodeContext(ctx)]))
  const body = Buffer.concat([cipher.update('something else'), cipher.final(), cipher.getAuthTag()])
  const bodyLength = Buffer.alloc(4)
  bodyLength.writeUInt32BE(body.length)
  const head = envelope.subarray(0, 82 + 2 + vector.kekId.length + 4 + 2)
  const forged = Buffer.concat([head, wrapped, bodyLength, body])
  await expect(openEnvelope(keys, ctx, forged)).rejects.toMatchObject(refusal)
})

test('another suite or format is refused, though everything else of it is right', async () => {
  const wrappedKey = envelope.subarray(82, 82 + 2 + vector.kekId.length + 4 + 2 + 60)
  const key = Buffer.from(hkdfSync('sha512', hex(vector.dekHex), hex(vector.saltHex), 'cre1:encrypt', 32))
  const headed = (head: string) => {
    const fixed = Buffer.concat([hex(head), envelope.subarray(6, 82)])
    const cipher = createCipheriv('aes-256-gcm', key, hex(vector.bodyNonceHex), { authTagLength: 16 })
    cipher.setAAD(Buffer.concat([Buffer.from('cre1:body\0', 'latin1'), fixed, encodeContext(ctx)]))
    const body = Buffer.concat([cipher.update('whole'), cipher.final(), cipher.getAuthTag()])
    const bodyLength = Buffer.alloc(4)
    bodyLength.writeUInt32BE(body.length)
    return openEnvelope(keys, ctx, Buffer.concat([fixed, wrappedKey, bodyLength, body]))
  }
  const format = Buffer.from('CRE1').toString('hex')
  expect(text(await headed(`${format}0001`))).toBe('whole')
  for (const suite of ['0000', '0002', '0100']) await expect(headed(format + suite)).rejects.toMatchObject(refusal)
  await expect(headed(`${Buffer.from('CRE2').toString('hex')}0001`)).rejects.toMatchObject(refusal)
})

describe('key versions', () => {
  test('a re-wrapped envelope opens with the new key and leaves everything but the wrapped key as it was', async () => {
    const both = keysAt(2, 3)
    const moved = await rewrapEnvelope(both, ctx, envelope)
    expect(moved.kekVersion).toBe(3)
    expect(moved.envelope.subarray(0, 82)).toEqual(envelope.subarray(0, 82))
    expect(moved.envelope.subarray(-35)).toEqual(envelope.subarray(-35))
    expect(text(await openEnvelope(both, ctx, moved.envelope))).toBe(vector.plaintext)
    await expect(openEnvelope(keys, ctx, moved.envelope)).rejects.toMatchObject(refusal)
  })

  test('a version below the minimum does not open', async () => {
    const keks = new Map([2, 3].map((version) => [version, new Secret(hex(vector.kekHex))]))
    const lenient = createLocalKeyManager({ kekId: vector.kekId, keks })
    const strict = createLocalKeyManager({ kekId: vector.kekId, keks, minKekVersion: 3 })
    expect(text(await openEnvelope(lenient, ctx, envelope))).toBe(vector.plaintext)
    await expect(openEnvelope(strict, ctx, envelope)).rejects.toMatchObject(refusal)
  })

  test('another key manager does not open it', async () => {
    const stranger = createLocalKeyManager({
      kekId: 'local:other',
      keks: new Map([[2, new Secret(hex(vector.kekHex))]]),
    })
    await expect(openEnvelope(stranger, ctx, envelope)).rejects.toMatchObject(refusal)
  })
})

test('two envelopes of one plaintext share nothing', async () => {
  const sealSame = () => sealEnvelope(keys, ctx, new Secret(Buffer.from('same')))
  const [one, two] = await Promise.all([sealSame(), sealSame()])
  expect(one.envelope.subarray(6).equals(two.envelope.subarray(6))).toBe(false)
  expect(text(await openEnvelope(keys, ctx, one.envelope))).toBe('same')
})
