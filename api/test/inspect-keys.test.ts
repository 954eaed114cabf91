import { createPrivateKey, generateKeyPairSync } from 'node:crypto'

import { describe, expect, test } from 'vitest'

import { inspectApplePrivateKey, inspectWebSigningKey } from '../src/credentials/inspect-private-key.js'
import { inspectServiceAccount } from '../src/credentials/inspect-service-account.js'

const pem = { type: 'pkcs8', format: 'pem' } as const
const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
const short = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey
const ed25519 = generateKeyPairSync('ed25519').privateKey
const text = (value: string | Buffer) => Buffer.from(value)
const refusal = (code: string, message: RegExp) =>
  expect.objectContaining({
    name: 'CredentialRefusal',
    code,
    message: expect.stringMatching(message) as string,
  }) as Error
const keyOf = (base64: string) =>
  createPrivateKey({ key: text(Buffer.from(base64, 'base64')), format: 'der', type: 'pkcs8' })

describe("Apple's keys (.p8)", () => {
  test('a P-256 key is taken, with line ends of any system and a final text', () => {
    for (const file of [
      p256.export(pem),
      String(p256.export(pem)).replaceAll('\n', '\r\n'),
      `${String(p256.export(pem))}\n`,
    ]) {
      const { facts, key } = inspectApplePrivateKey(text(file))
      expect(facts).toMatchObject({ format: 'p8', keyType: 'prime256v1', type: 'production', notAfter: null })
      expect(keyOf(key.keyPkcs8B64).equals(p256)).toBe(true)
    }
  })

  test.each([
    ['another curve', p384.export(pem), 'private-key-unsuitable', /secp384r1; Apple's keys are on the curve P-256/],
    ['RSA', rsa.export(pem), 'private-key-unsuitable', /rsa; Apple/],
    ['SEC1', p256.export({ type: 'sec1', format: 'pem' }), 'private-key-unrecognized', /openssl pkcs8 -topk8/],
    [
      'encrypted',
      p256.export({ ...pem, cipher: 'aes-256-cbc', passphrase: 'x' }),
      'private-key-encrypted',
      /encrypted/,
    ],
    ['two keys', `${String(p256.export(pem))}${String(p256.export(pem))}`, 'private-key-unrecognized', /once only/],
    [
      'a public key',
      '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----',
      'private-key-unrecognized',
      /PUBLIC KEY/,
    ],
    [
      'half a key',
      `${String(p256.export(pem)).slice(0, 90)}\n-----END PRIVATE KEY-----`,
      'private-key-unrecognized',
      /damaged/,
    ],
    ['DER', p256.export({ type: 'pkcs8', format: 'der' }), 'private-key-unrecognized', /no private key in PEM form/],
    ['nothing', '', 'private-key-unrecognized', /no private key in PEM form/],
  ] as const)('%s is refused', (_, file, code, message) => {
    expect(() => inspectApplePrivateKey(text(file))).toThrow(refusal(code, message))
  })
})

describe('web signing keys', () => {
  test.each([
    ['RSA', rsa.export(pem), undefined, rsa],
    ['RSA, PKCS#1', rsa.export({ type: 'pkcs1', format: 'pem' }), undefined, rsa],
    ['Ed25519', ed25519.export(pem), undefined, ed25519],
    ['AES', rsa.export({ ...pem, cipher: 'aes-256-cbc', passphrase: 'secret' }), 'secret', rsa],
    ['3DES', rsa.export({ ...pem, cipher: 'des-ede3-cbc', passphrase: 'sécret' }), 'sécret', rsa],
    ['Camellia', rsa.export({ ...pem, cipher: 'camellia-128-cbc', passphrase: 'secret' }), 'secret', rsa],
  ] as const)('%s is taken', (_, file, password, key) => {
    const found = inspectWebSigningKey(text(file), password)
    expect(found.facts.format).toBe('pem')
    expect(keyOf(found.key.keyPkcs8B64).equals(key)).toBe(true)
  })

  test.each([
    ['a short key', short.export(pem), undefined, 'private-key-unsuitable', /rsa of 1024 bits/],
    ['a P-256 key', p256.export(pem), undefined, 'private-key-unsuitable', /prime256v1; live updates/],
    [
      'no password',
      rsa.export({ ...pem, cipher: 'aes-256-cbc', passphrase: 'x' }),
      undefined,
      'private-key-encrypted',
      /password is not given/,
    ],
    [
      'a wrong password',
      rsa.export({ ...pem, cipher: 'aes-256-cbc', passphrase: 'x' }),
      'y',
      'key-password-wrong',
      /is wrong/,
    ],
    [
      'old encryption',
      rsa.export({ type: 'pkcs1', format: 'pem', cipher: 'aes-128-cbc', passphrase: 'x' }),
      'x',
      'private-key-encrypted',
      /openssl pkcs8/,
    ],
  ] as const)('%s is refused', (_, file, password, code, message) => {
    expect(() => inspectWebSigningKey(text(file), password)).toThrow(refusal(code, message))
  })

  test('of wrong passwords none is taken for the right one by chance', () => {
    const file = text(rsa.export({ ...pem, cipher: 'aes-128-cbc', passphrase: 'right' }))
    for (let count = 0; count < 600; count += 1) {
      expect(() => inspectWebSigningKey(file, `wrong ${count}`)).toThrow(refusal('key-password-wrong', /is wrong/))
    }
  })

  test('rounds are counted before they are run', () => {
    const der = rsa.export({ type: 'pkcs8', format: 'der', cipher: 'aes-256-cbc', passphrase: 'x' })
    const at = der.indexOf(Buffer.from('02020800', 'hex'))
    expect(at).toBeGreaterThan(0)
    // 2048 rounds become 64 million: the number grows by two bytes, and so do the lengths around it.
    const grown = Buffer.concat([der.subarray(0, at), Buffer.from('020403d09000', 'hex'), der.subarray(at + 4)])
    for (const offset of lengthsAround(grown, at)) grown.writeUInt8(grown.readUInt8(offset) + 2, offset)
    const file = `-----BEGIN ENCRYPTED PRIVATE KEY-----\n${grown.toString('base64')}\n-----END ENCRYPTED PRIVATE KEY-----`
    const start = process.cpuUsage()
    expect(() => inspectWebSigningKey(text(file), 'x')).toThrow(refusal('keystore-too-costly', /rounds/))
    expect(process.cpuUsage(start).user / 1000).toBeLessThan(5_000)
  })
})

/** Offsets of the last length byte of each element that encloses `at`. */
function lengthsAround(der: Buffer, at: number): number[] {
  const offsets: number[] = []
  for (let offset = 0; offset < at;) {
    const first = der.readUInt8(offset + 1)
    const header = first < 0x80 ? 2 : 2 + (first & 0x7f)
    const length = first < 0x80 ? first : der.readUIntBE(offset + 2, first & 0x7f)
    const constructed = (der.readUInt8(offset) & 0x20) !== 0
    if (constructed && at < offset + header + length) offsets.push(offset + header - 1)
    offset += constructed && at < offset + header + length ? header : header + length
  }
  return offsets
}

describe('Google service accounts', () => {
  const account = {
    type: 'service_account',
    project_id: 'shop-1',
    private_key_id: '0123456789abcdef',
    private_key: rsa.export(pem),
    client_email: 'publisher@shop-1.iam.gserviceaccount.com',
    token_uri: 'https://oauth2.googleapis.com/token',
  }
  const file = (changes: object = {}) => text(JSON.stringify({ ...account, ...changes }))

  test('a key is taken', () => {
    const { facts, key } = inspectServiceAccount(file())
    expect(facts).toMatchObject({
      format: 'json',
      clientEmail: account.client_email,
      projectId: 'shop-1',
      keyId: '0123456789abcdef',
      keyType: 'rsa',
    })
    expect(keyOf(key.keyPkcs8B64).equals(rsa)).toBe(true)
  })

  test.each([
    [
      'google-services.json',
      text('{"project_info":{},"client":[]}'),
      'service-account-google-services',
      /google-services\.json/,
    ],
    ['an OAuth client', text('{"installed":{"client_id":"x"}}'), 'service-account-unrecognized', /"type" is not/],
    ['no JSON', text('PK'), 'service-account-unrecognized', /not JSON/],
    ['an array', text('[]'), 'service-account-unrecognized', /not JSON/],
    ["somebody's address", file({ client_email: 'me@example.com' }), 'service-account-email-invalid', /client_email/],
    [
      'an address that only ends so',
      file({ client_email: 'x@evil.com/.iam.gserviceaccount.com' }),
      'service-account-email-invalid',
      /client_email/,
    ],
    [
      'the metadata service',
      file({ token_uri: 'http://169.254.169.254/token' }),
      'service-account-token-uri-refused',
      /token_uri/,
    ],
    [
      'an address that begins so',
      file({ token_uri: 'https://oauth2.googleapis.com/token@evil' }),
      'service-account-token-uri-refused',
      /token_uri/,
    ],
    ['no token address', file({ token_uri: undefined }), 'service-account-token-uri-refused', /token_uri/],
    ['an EC key', file({ private_key: p256.export(pem) }), 'service-account-key-invalid', /RSA key of 2048/],
    ['a short key', file({ private_key: short.export(pem) }), 'service-account-key-invalid', /RSA key of 2048/],
    ['a broken key', file({ private_key: 'x' }), 'service-account-key-invalid', /RSA key of 2048/],
  ] as const)('%s is refused', (_, bytes, code, message) => {
    expect(() => inspectServiceAccount(bytes)).toThrow(refusal(code, message))
  })
})
