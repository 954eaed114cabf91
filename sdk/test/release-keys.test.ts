import {
  constants,
  createHash,
  createPrivateKey,
  createPublicKey,
  createSign,
  generateKeyPairSync,
  type KeyObject,
  type KeyPairKeyObjectResult,
  privateEncrypt,
  sign,
} from 'node:crypto'
import { describe, expect, test } from 'vitest'
import {
  compareVersions,
  decodeBase64,
  encodeBase64,
  importPlatformKey,
  importPlatformSigner,
  importReleaseKey,
  importReleaseSigner,
  type ReleaseError,
  rolloutPosition,
  signRoot,
  trustOf,
  verifyNextRoot,
  verifySignature,
} from '../src/release/index.js'

const spki = (key: KeyObject): string => key.export({ type: 'spki', format: 'pem' }).toString()
const pkcs8 = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }).toString()
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const other = generateKeyPairSync('rsa', { modulusLength: 2048 })
const ed25519 = generateKeyPairSync('ed25519')
const good = spki(rsa.publicKey)
const pss = { hashAlgorithm: 'sha256', mgf1HashAlgorithm: 'sha256', saltLength: 32 }
const pssPair = (parameters: object, modulusLength = 2048): KeyPairKeyObjectResult =>
  generateKeyPairSync('rsa-pss', { modulusLength, ...parameters })
const pem = (label: string, der: Uint8Array): string =>
  `-----BEGIN ${label}-----\n${Buffer.from(der)
    .toString('base64')
    .replace(/(.{64})/g, '$1\n')}\n-----END ${label}-----\n`
const der = new Uint8Array(rsa.publicKey.export({ type: 'spki', format: 'der' }))
const changed = (at: number, value: number): Uint8Array =>
  Uint8Array.from(der, (byte, index) => (index === at ? value : byte))

describe('key policy', () => {
  test.each([
    ['RSA 1024', spki(generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey), 'KEY_SIZE'],
    ['RSA 2047', spki(generateKeyPairSync('rsa', { modulusLength: 2047 }).publicKey), 'KEY_SIZE'],
    [
      'RSA with e = 3',
      spki(generateKeyPairSync('rsa', { modulusLength: 2048, publicExponent: 3 }).publicKey),
      'KEY_EXPONENT',
    ],
    ['EC P-256', spki(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey), 'KEY_ALGORITHM'],
    ['EC P-384', spki(generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey), 'KEY_ALGORITHM'],
    ['Ed448', spki(generateKeyPairSync('ed448').publicKey), 'KEY_ALGORITHM'],
    ['X25519', spki(generateKeyPairSync('x25519').publicKey), 'KEY_ALGORITHM'],
    ['RSA-PSS without parameters', spki(pssPair({}).publicKey), 'KEY_ALGORITHM'],
    ['RSA-PSS with SHA-1', spki(pssPair({ ...pss, hashAlgorithm: 'sha1' }).publicKey), 'KEY_ALGORITHM'],
    ['RSA-PSS with SHA-512', spki(pssPair({ ...pss, mgf1HashAlgorithm: 'sha512' }).publicKey), 'KEY_ALGORITHM'],
    ['RSA-PSS with a salt of 20 bytes', spki(pssPair({ ...pss, saltLength: 20 }).publicKey), 'KEY_ALGORITHM'],
    ['RSA-PSS 1024', spki(pssPair(pss, 1024).publicKey), 'KEY_SIZE'],
    ['a private key', pkcs8(rsa.privateKey), 'KEY_PRIVATE'],
    ['a PKCS#1 private key', rsa.privateKey.export({ type: 'pkcs1', format: 'pem' }).toString(), 'KEY_PRIVATE'],
    ['a private key behind a public one', good + pkcs8(rsa.privateKey), 'KEY_PRIVATE'],
    ['a certificate', pem('CERTIFICATE', der), 'KEY_CERTIFICATE'],
    ['two keys', good + spki(other.publicKey), 'KEY_SEVERAL'],
    ['a PKCS#1 public key', rsa.publicKey.export({ type: 'pkcs1', format: 'pem' }).toString(), 'KEY_NOT_SPKI'],
    ['nothing', '', 'KEY_NOT_PEM'],
    ['base64 without PEM', Buffer.from(der).toString('base64'), 'KEY_NOT_PEM'],
    ['text around it', `hello\n${good}`, 'KEY_NOT_PEM'],
    ['a PEM cut short', good.slice(0, 200), 'KEY_NOT_PEM'],
    ['DER cut short', pem('PUBLIC KEY', der.subarray(0, 200)), 'KEY_MALFORMED'],
    ['DER with a trailing byte', pem('PUBLIC KEY', Uint8Array.from([...der, 0])), 'KEY_MALFORMED'],
    ['an even modulus', pem('PUBLIC KEY', changed(der.length - 6, 2)), 'KEY_MALFORMED'],
    ['a parameter that is not NULL', pem('PUBLIC KEY', changed(17, 4)), 'KEY_ALGORITHM'],
  ])('%s is refused', async (_what, text, code) => {
    await expect(importReleaseKey(text)).rejects.toMatchObject({ name: 'ReleaseError', code })
  })

  test.each([2048, 3072, 4096])('RSA %i with e = 65537 is accepted, with any line ending', async (modulusLength) => {
    const text = spki(generateKeyPairSync('rsa', { modulusLength }).publicKey)
    const key = await importReleaseKey(text)
    expect(key.signatureBytes).toBe(modulusLength / 8)
    expect((await importReleaseKey(`\n${text.replaceAll('\n', '\r\n')}\n`)).keyId).toBe(key.keyId)
  })

  test('the platform key is Ed25519 and nothing else', async () => {
    expect((await importPlatformKey(spki(ed25519.publicKey))).signatureBytes).toBe(64)
    await expect(importPlatformKey(good)).rejects.toMatchObject({ code: 'KEY_ALGORITHM' })
    await expect(importPlatformKey(pkcs8(ed25519.privateKey))).rejects.toMatchObject({ code: 'KEY_PRIVATE' })
    await expect(importPlatformKey(spki(generateKeyPairSync('x25519').publicKey))).rejects.toMatchObject({
      code: 'KEY_ALGORITHM',
    })
  })

  test('a signing key is held to the same policy', async () => {
    const weak = generateKeyPairSync('rsa', { modulusLength: 2048, publicExponent: 3 })
    await expect(importReleaseSigner(pkcs8(weak.privateKey), 'k')).rejects.toMatchObject({ code: 'KEY_EXPONENT' })
    const small = generateKeyPairSync('rsa', { modulusLength: 1024 })
    await expect(importReleaseSigner(pkcs8(small.privateKey), 'k')).rejects.toMatchObject({ code: 'KEY_SIZE' })
    const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    await expect(importReleaseSigner(pkcs8(ec.privateKey), 'k')).rejects.toMatchObject({ code: 'KEY_ALGORITHM' })
    await expect(importPlatformSigner(pkcs8(rsa.privateKey), 'k')).rejects.toMatchObject({ code: 'KEY_ALGORITHM' })
    await expect(importReleaseSigner(good, 'k')).rejects.toMatchObject({ code: 'KEY_NOT_PEM' })
  })
})

describe('signatures', () => {
  const message = Buffer.from('bundle bytes')
  const signature = createSign('sha256').update(message).sign(rsa.privateKey)
  const attempt = async (text: unknown, key = good): Promise<string | null> => {
    try {
      await verifySignature([await importReleaseKey(key)], message, text)
      return null
    } catch (error) {
      return (error as ReleaseError).code
    }
  }

  test('what the official command line tool signs is accepted, by the right key only', async () => {
    expect(await attempt(signature.toString('base64'))).toBeNull()
    expect(await attempt(signature.toString('base64'), spki(other.publicKey))).toBe('BAD_SIGNATURE')
  })

  test.each([undefined, null, '', ' ', '\n\t', 'null', ' null ', 'undefined'])('%j is no signature', async (text) => {
    expect(await attempt(text)).toBe('SIGNATURE_MISSING')
  })

  test.each([
    ['short', signature.subarray(1).toString('base64')],
    ['long', Buffer.concat([Buffer.alloc(1), signature]).toString('base64')],
    ['base64url', signature.toString('base64url')],
    ['wrapped', signature.toString('base64').replace(/(.{64})/g, '$1\n')],
    ['padded with space', `${signature.toString('base64')} `],
    ['hex', signature.toString('hex')],
    ['a number', 7],
    ['an object', { sig: signature.toString('base64') }],
  ])('a %s signature is refused', async (_what, text) => {
    expect(await attempt(text)).toBe('BAD_SIGNATURE')
  })

  const digest = createHash('sha256').update(message).digest()
  const info = Buffer.from('3031300d060960864801650304020105000420', 'hex')
  const frame = (tail: Buffer, padding = 256 - 3 - tail.length): Buffer =>
    Buffer.concat([Buffer.from([0, 1]), Buffer.alloc(padding, 0xff), Buffer.from([0]), tail])
  const raw = (block: Buffer): string =>
    privateEncrypt({ key: rsa.privateKey, padding: constants.RSA_NO_PADDING }, block).toString('base64')

  test('encodings that lenient verifiers take, made with the real key, are refused', async () => {
    const right = Buffer.concat([info, digest])
    expect(await attempt(raw(frame(right)))).toBeNull()
    const withoutNull = Buffer.concat([
      Buffer.from('302f300b0609608648016503040201', 'hex'),
      Buffer.from('0420', 'hex'),
      digest,
    ])
    const sha1 = Buffer.concat([
      Buffer.from('3021300906052b0e03021a05000414', 'hex'),
      createHash('sha1').update(message).digest(),
    ])
    const garbage = Buffer.concat([frame(right, 8), Buffer.alloc(256 - 11 - right.length, 0xaa)])
    const extraField = Buffer.concat([
      Buffer.from('3035300d060960864801650304020105000420', 'hex'),
      digest,
      Buffer.from('04020000', 'hex'),
    ])
    const blocks = [frame(withoutNull), frame(sha1), garbage, frame(extraField), frame(digest)]
    blocks.push(Buffer.concat([Buffer.from([0, 2]), frame(right).subarray(2)]))
    const shortPadding = frame(right)
    shortPadding[10] = 0xfe
    blocks.push(shortPadding)
    for (const [index, block] of blocks.entries()) {
      expect(block.length, `block ${index}`).toBe(256)
      expect(await attempt(raw(block)), `block ${index}`).toBe('BAD_SIGNATURE')
    }
  })
})

describe('the algorithm is a property of the pinned key', () => {
  const message = Buffer.from('bundle bytes')
  const modulus = generateKeyPairSync('rsa', { modulusLength: 3072 })
  const pssKeys = pssPair(pss, 3072)
  const kinds = { 'PKCS#1 v1.5': modulus, PSS: pssKeys, Ed25519: ed25519 }

  test.each(Object.keys(kinds) as (keyof typeof kinds)[])(
    '%s: own signatures are taken, changed ones not',
    async (kind) => {
      const { publicKey, privateKey } = kinds[kind]
      const key = await importReleaseKey(spki(publicKey))
      const signature = await (await importReleaseSigner(pkcs8(privateKey), 'k')).sign(message)
      expect(signature.length).toBe(key.signatureBytes)
      expect(await key.verify(message, signature)).toBe(true)
      for (const at of [0, 17, signature.length - 1]) {
        const broken = Uint8Array.from(signature, (byte, index) => (index === at ? byte ^ 1 : byte))
        expect(await key.verify(message, broken), `byte ${at}`).toBe(false)
      }
      expect(await key.verify(Buffer.from('bundle bytez'), signature)).toBe(false)
      for (const other of Object.keys(kinds) as (keyof typeof kinds)[]) {
        const accepts = await (await importReleaseKey(spki(kinds[other].publicKey))).verify(message, signature)
        expect(accepts, other).toBe(other === kind)
      }
    },
  )

  test('one RSA key pinned for one padding does not take the other', async () => {
    const asPss = createPrivateKey(pkcs8(pssKeys.privateKey))
    const der = asPss.export({ type: 'pkcs8', format: 'der' })
    const numbers = der.subarray(der.indexOf(Buffer.from('0482', 'hex')) + 4)
    const asPlain = createPrivateKey({ key: numbers, format: 'der', type: 'pkcs1' })
    const [pinnedPss, pinnedPlain] = [
      await importReleaseKey(spki(pssKeys.publicKey)),
      await importReleaseKey(spki(createPublicKey(asPlain))),
    ]
    const [pssSignature, plainSignature] = [sign('sha256', message, asPss), sign('sha256', message, asPlain)]
    expect(await pinnedPss.verify(message, pssSignature)).toBe(true)
    expect(await pinnedPlain.verify(message, plainSignature)).toBe(true)
    expect(await pinnedPss.verify(message, plainSignature)).toBe(false)
    expect(await pinnedPlain.verify(message, pssSignature)).toBe(false)
    expect(pinnedPss.keyId).not.toBe(pinnedPlain.keyId)
  })

  test('one key cannot have both roles', async () => {
    const both = { version: 1, releaseKeys: [spki(ed25519.publicKey)], revokedBundleIds: [] }
    await expect(trustOf({ ...both, platformKeys: [spki(ed25519.publicKey)] })).rejects.toMatchObject({
      code: 'KEY_REUSED',
    })
    const trust = await trustOf({ ...both, platformKeys: [spki(generateKeyPairSync('ed25519').publicKey)] })
    expect(trust.releaseKeys).toHaveLength(1)
  })
})

describe('base64', () => {
  test('every length survives a round trip and agrees with the platform', () => {
    for (let length = 0; length < 50; length++) {
      const bytes = new Uint8Array(length).map((_, index) => (index * 89 + length) & 255)
      expect(encodeBase64(bytes)).toBe(Buffer.from(bytes).toString('base64'))
      expect(decodeBase64(encodeBase64(bytes))).toEqual(bytes)
    }
  })
  test.each(['A', 'AA', 'AAA', 'AA=A', '=AAA', 'AB==', 'AAB=', 'AA-_', 'A A=', 'AAAA\n', 'A===', '===='])(
    '%j is refused',
    (text) => {
      expect(decodeBase64(text)).toBeNull()
    },
  )
})

describe('root rotation', async () => {
  const next = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const [oldSigner, newSigner] = await Promise.all(
    [rsa, next].map((pair) => importReleaseSigner(pkcs8(pair.privateKey), 'k')),
  )
  const platformKeys = [spki(ed25519.publicKey)]
  const trust = await trustOf({ version: 1, releaseKeys: [good], platformKeys, revokedBundleIds: [] })
  const root = {
    _type: 'capstan-root/v1' as const,
    appId: 'app',
    version: 2,
    createdAt: '2026-11-21T00:00:00Z',
    releaseKeys: [spki(next.publicKey)],
    platformKeys,
    revokedBundleIds: ['bad'],
  }

  test('a root signed by the old and the new key is taken, and its keys replace the old ones', async () => {
    const taken = await verifyNextRoot(await signRoot(root, [oldSigner!, newSigner!]), trust, 'app')
    expect(taken.trust.rootVersion).toBe(2)
    expect(taken.trust.revokedBundleIds).toEqual(['bad'])
    const third = await signRoot({ ...root, version: 3 }, [oldSigner!])
    await expect(verifyNextRoot(third, taken.trust, 'app')).rejects.toMatchObject({ code: 'BAD_SIGNATURE' })
  })

  test.each([
    ['only the new key', root, [newSigner!], 'BAD_SIGNATURE'],
    ['only the old key', root, [oldSigner!], 'BAD_SIGNATURE'],
    ['a replayed version', { ...root, version: 1 }, [oldSigner!, newSigner!], 'ROOT_VERSION'],
    ['a skipped version', { ...root, version: 3 }, [oldSigner!, newSigner!], 'ROOT_VERSION'],
    ['another app', { ...root, appId: 'other' }, [oldSigner!, newSigner!], 'WRONG_APP'],
    [
      'a weak new key',
      { ...root, releaseKeys: [spki(generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey)] },
      [oldSigner!, newSigner!],
      'KEY_SIZE',
    ],
  ] as const)('a root with %s is refused', async (_what, statement, signers, code) => {
    const envelope = await signRoot({ ...statement, releaseKeys: [...statement.releaseKeys] }, signers)
    await expect(verifyNextRoot(envelope, trust, 'app')).rejects.toMatchObject({ code })
  })
})

describe('small rules', () => {
  test.each([
    ['1.10', '1.9', 1],
    ['1.0', '1', 0],
    ['1.4.0', '1.4.1', -1],
    ['42', '42', 0],
    ['v1', '1', null],
    ['', '1', null],
    ['1.0-beta', '1', null],
  ])('version %s against %s is %s', (left, right, expected) => {
    const result = compareVersions(left, right)
    expect(result === null ? null : Math.sign(result)).toBe(expected)
  })

  test('the rollout position is the documented hash, spread evenly', async () => {
    const digest = createHash('sha256').update('deployment:device').digest()
    expect(await rolloutPosition('device', 'deployment')).toBe(digest.readUIntBE(0, 6) / 2 ** 48)
    const positions = await Promise.all(
      Array.from({ length: 2000 }, (_, index) => rolloutPosition(`device-${index}`, 'd')),
    )
    const below = positions.filter((position) => position < 0.25).length
    expect(below).toBeGreaterThan(400)
    expect(below).toBeLessThan(600)
  })
})
