import { createHash, pbkdf2Sync } from 'node:crypto'

import { describe, expect, test } from 'vitest'

import { readBer } from '../src/credentials/ber.js'
import { DerivationBudget } from '../src/credentials/derivation-budget.js'
import { inspectKeystore } from '../src/credentials/inspect-keystore.js'
import { derivePbkdf2 } from '../src/credentials/pkcs12/decrypt-pbe.js'
import { keystore, keystoreBytes, storePassword } from './keystore-fixtures.js'

const now = new Date('2026-12-01T00:00:00Z')
type Access = { password?: string; keyAlias?: string; keyPassword?: string }
const inspectBytes = (bytes: Buffer, access: Access = {}) =>
  inspectKeystore(bytes, { password: storePassword, ...access }, now).facts
const inspect = (name: string, access: Access = {}) => inspectBytes(keystoreBytes(name), access)
const refusal = (code: string, message: RegExp) =>
  expect.objectContaining({
    name: 'CredentialRefusal',
    code,
    message: expect.stringMatching(message) as string,
  }) as Error

describe('what is taken, with the fingerprint that keytool and openssl tell', () => {
  test.each([
    ['rsa.p12', { keyAlias: 'upload' }, { format: 'pkcs12', keyType: 'rsa', keyBits: 2048 }],
    ['ec.p12', { keyAlias: 'upload' }, { format: 'pkcs12', keyType: 'prime256v1', keyBits: null }],
    ['legacy.p12', { keyAlias: 'upload' }, { format: 'pkcs12', keyType: 'rsa', keyBits: 2048 }],
    [
      'rsa.jks',
      { keyAlias: 'upload', keyPassword: 'other-key-pass' },
      { format: 'jks', keyType: 'rsa', keyBits: 2048 },
    ],
    ['ec.jks', { keyAlias: 'upload' }, { format: 'jks', keyType: 'prime256v1', keyBits: null }],
    ['modern.p12', { keyAlias: 'upload' }, { format: 'pkcs12', keyType: 'prime256v1', keyBits: null }],
    ['sha224.p12', { keyAlias: 'upload' }, { keyType: 'prime256v1' }],
    ['slow.p12', { keyAlias: 'upload' }, { keyType: 'rsa' }],
    ['keychain.p12', { keyAlias: 'upload' }, { format: 'pkcs12', keyType: 'rsa', keyBits: 2048 }],
    ['unnamed.p12', { keyAlias: '1' }, { format: 'pkcs12', keyType: 'prime256v1', keyBits: null }],
    [
      'debug.p12',
      { password: 'android', keyAlias: 'androiddebugkey' },
      { subject: 'CN=Android Debug, O=Android, C=US' },
    ],
  ])('%s', (name, question, facts) => {
    expect(inspect(name, question)).toMatchObject({
      keyAlias: question.keyAlias,
      fingerprintSha256: keystore(name).sha256[0],
      warnings: [],
      ...facts,
    })
  })

  test('facts name subject, serial and validity', () => {
    const facts = inspect('rsa.p12')
    expect(facts.subject).toBe('CN=Upload Key, O=Capstan Test')
    expect(facts.serialNumber).toMatch(/^[0-9a-f]+$/)
    expect(facts.fingerprintSha1).toMatch(/^[0-9a-f]{40}$/)
    const days = (Date.parse(facts.notAfter!) - Date.parse(facts.notBefore!)) / 86_400_000
    expect(Math.round(days)).toBe(10_000)
  })

  test('weak keys are taken with a warning', () => {
    expect(inspect('short.p12').warnings).toEqual([
      'The key has 1024 bits; 2048 or more are advised.',
      'Google Play asks for a certificate that is valid beyond 22 October 2033.',
      'The certificate is signed with SHA-1.',
    ])
    expect(inspect('dsa.jks').warnings).toContain('DSA keys are not accepted by current Android versions.')
  })
})

describe('aliases', () => {
  test.each([
    ['two.p12', 'first', 'second'],
    ['two.jks', 'one', 'two'],
  ])('%s: each key is found, in any case; without an alias both are listed', (name, first, second) => {
    const found = [first, second.toUpperCase()].map((keyAlias) => inspect(name, { keyAlias }))
    expect(found.map(({ keyAlias }) => keyAlias)).toEqual([first, second])
    expect(new Set(found.map(({ fingerprintSha256 }) => fingerprintSha256))).toEqual(new Set(keystore(name).sha256))
    for (const keyAlias of [undefined, '']) {
      expect(() => inspect(name, keyAlias === undefined ? {} : { keyAlias })).toThrow(
        refusal('keystore-alias-not-found', new RegExp(`several keys: "${first}", "${second}"`)),
      )
    }
  })

  test('an alias that is not there is refused with those that are', () => {
    expect(() => inspect('two.p12', { keyAlias: 'thirß\u0007' })).toThrow(
      refusal('keystore-alias-not-found', /^The keystore has no key "thirß\?"\. It has: "first", "second"\.$/),
    )
  })

  test('the only key needs no alias', () => expect(inspect('ec.p12').keyAlias).toBe('upload'))
})

describe('passwords', () => {
  test.each(['rsa.p12', 'ec.p12', 'legacy.p12', 'keychain.p12', 'ec.jks'])('%s with a wrong one', (name) => {
    for (const password of ['wrong-password', '', storePassword.toUpperCase(), `${storePassword} `]) {
      expect(() => inspect(name, { password })).toThrow(refusal('keystore-password-wrong', /password is wrong/))
    }
    expect(inspect(name).fingerprintSha256).toBe(keystore(name).sha256[0])
  })

  test('a JKS key with a password of its own', () => {
    for (const keyPassword of [undefined, 'wrong']) {
      expect(() => inspect('rsa.jks', keyPassword === undefined ? {} : { keyPassword })).toThrow(
        refusal('key-password-wrong', /password of the key "upload" is wrong\. If it differs/),
      )
    }
    expect(inspect('rsa.jks', { keyPassword: 'other-key-pass' }).keyAlias).toBe('upload')
  })

  test('a PKCS12 key has no password of its own', () => {
    expect(inspect('ec.p12', { keyPassword: storePassword }).keyAlias).toBe('upload')
    expect(() => inspect('ec.p12', { keyPassword: 'another' })).toThrow(
      refusal('key-password-wrong', /leave the key password out/),
    )
  })

  test('no refusal quotes a password', () => {
    const secret = 'canary-7d1f'
    for (const name of ['ec.p12', 'ec.jks', 'unicode.p12', 'rsa.jks']) {
      for (const question of [{ password: secret }, { keyPassword: secret }]) {
        let message = ''
        try {
          inspect(name, question)
        } catch (error) {
          message = String(error)
        }
        expect(message).not.toContain(secret)
      }
    }
  })
})

describe('what is refused', () => {
  test.each([
    ['jceks.jceks', {}, 'keystore-unsupported-format', /JCEKS.*keytool -importkeystore .* -srcstoretype JCEKS/],
    ['nomac.p12', {}, 'keystore-mac-missing', /no integrity check \(MAC\)/],
    ['bomb.p12', {}, 'keystore-too-costly', /too many key-derivation rounds/],
    ['camellia.p12', {}, 'keystore-algorithm-unsupported', /Java's signing tools.*openssl pkcs12 -export/],
    ['unicode.p12', { password: 'pässword' }, 'keystore-algorithm-unsupported', /Java's signing tools/],
    ['cert-only.p12', {}, 'keystore-no-private-key', /certificates only/],
    ['cert-only.jks', {}, 'keystore-no-private-key', /certificates only/],
    ['expired.p12', {}, 'keystore-certificate-expired', /expired on 20\d\d-\d\d-\d\d/],
  ] as const)('%s', (name, question, code, message) => {
    expect(() => inspect(name, question)).toThrow(refusal(code, message))
  })

  test('a bomb is refused before its first round', () => {
    const bomb = Buffer.from(keystoreBytes('bomb.p12'))
    // Eight million rounds in each place: many seconds, of which no busy machine spends one for something else.
    const [rounds, more] = [Buffer.from('02031e8480', 'hex'), Buffer.from('02037fffff', 'hex')]
    for (let at = bomb.indexOf(rounds); at >= 0; at = bomb.indexOf(rounds, at)) more.copy(bomb, at)
    const start = process.cpuUsage()
    expect(() => inspectBytes(bomb)).toThrow(refusal('keystore-too-costly', /rounds/))
    expect(process.cpuUsage(start).user / 1000).toBeLessThan(2_000)
  })

  test('no key is derived for a file of which any part would cost too much', () => {
    const [small, sha256] = [Buffer.from('0203000800', 'hex'), Buffer.from('0609608648016503040201', 'hex')]
    const places = (bomb: Buffer) => {
      const rounds = Buffer.from('02031e8480', 'hex')
      const found: number[] = []
      for (let at = bomb.indexOf(rounds); at >= 0; at = bomb.indexOf(rounds, at + 1)) found.push(at)
      return found
    }
    const withCheap = (cheap: 'mac' | 'contents' | 'both') => {
      const bomb = Buffer.from(keystoreBytes('bomb.p12'))
      const [mac, ...contents] = places(bomb).toReversed()
      const changed = { mac: [mac!], contents, both: [mac!, ...contents] }[cheap]
      for (const at of changed) small.copy(bomb, at)
      return bomb
    }
    const tooCostly = refusal('keystore-too-costly', /rounds/)
    // The MAC comes first, and would say that the password is wrong.
    expect(() => inspectBytes(withCheap('mac'), { password: 'wrong' })).toThrow(tooCostly)
    const unknownDigest = withCheap('contents')
    unknownDigest.writeUInt8(8, unknownDigest.lastIndexOf(sha256) + sha256.length - 1)
    expect(() => inspectBytes(unknownDigest)).toThrow(tooCostly)
    expect(() => inspectBytes(withCheap('both'), { password: 'wrong' })).toThrow(
      refusal('keystore-password-wrong', /wrong/),
    )
  })

  test('rounds that only decryption shows are capped one by one and together', () => {
    const budget = new DerivationBudget()
    expect(() => budget.spend(1_000_001)).toThrow(refusal('keystore-too-costly', /rounds/))
    for (let count = 0; count < 5; count += 1) expect(budget.spend(1_000_000)).toBe(1_000_000)
    expect(() => budget.spend(1)).toThrow(refusal('keystore-too-costly', /rounds/))
  })

  test('rounds count as often as a long key has them run', () => {
    const parameters = (rounds: number) => {
      const prf = der(0x30, [der(0x06, Buffer.from('2a864886f70d0208', 'hex'))])
      const options = [number(rounds), number(1024), prf]
      const pbkdf2 = der(0x06, Buffer.from('2a864886f70d01050c', 'hex'))
      return readBer(der(0x30, [pbkdf2, der(0x30, [der(0x04, Buffer.from('salt')), ...options])]))
    }
    const derive = (rounds: number) => derivePbkdf2(parameters(rounds), Buffer.from('x'), 1024, new DerivationBudget())
    expect(derive(10)).toEqual(pbkdf2Sync('x', 'salt', 10, 1024, 'sha224'))
    const start = process.cpuUsage()
    expect(() => derive(1_000_000)).toThrow(refusal('keystore-too-costly', /rounds/))
    expect(process.cpuUsage(start).user / 1000).toBeLessThan(2_000)
  })

  test('a keystore of many long names is refused with a few of them', () => {
    const content = keystoreBytes('two.jks').subarray(0, -20)
    const entry = content.subarray(12, certificatesIn(content)[0].end)
    const [aliasBytes, rest] = [entry.readUInt16BE(4), entry.subarray(4 + 2 + entry.readUInt16BE(4))]
    expect(aliasBytes).toBe(3)
    const entries = Array.from({ length: 200 }, (_, index) => {
      const alias = Buffer.from(`${'n'.repeat(2000)}${index}`)
      const length = Buffer.alloc(2)
      length.writeUInt16BE(alias.length)
      return Buffer.concat([entry.subarray(0, 4), length, alias, rest])
    })
    const head = Buffer.from(content.subarray(0, 12))
    head.writeUInt32BE(entries.length, 8)
    const body = Buffer.concat([head, ...entries])
    expect(() => inspectBytes(Buffer.concat([body, jksDigest(body)]))).toThrow(
      refusal('keystore-alias-not-found', /^.{100,1200} and 190 more\. Give one/),
    )
  })

  test.each([
    ['nothing', Buffer.alloc(0), /no keystore/],
    ['text', Buffer.from('hello'), /no keystore/],
    ['an image', Buffer.from('89504e470d0a1a0a', 'hex'), /no keystore/],
    ['a PEM key', Buffer.from('-----BEGIN PRIVATE KEY-----\nMIIE\n'), /a PEM file/],
    ['a zip archive', Buffer.from('PK\x03\x04'.padEnd(100)), /no keystore/],
    ['DER of something else', Buffer.concat([Buffer.from('3026', 'hex'), Buffer.alloc(38)]), /not a/],
  ])('%s', (_, bytes, message) => {
    expect(() => inspectBytes(bytes)).toThrow(refusal('keystore-unrecognized', message))
  })
})

describe('damaged files', () => {
  const names = ['ec.p12', 'ec.jks'] as const

  test.each(names)('%s cut anywhere is refused as a keystore problem', (name) => {
    const bytes = keystoreBytes(name)
    for (let length = 0; length < bytes.length; length += 7) {
      expect(() => inspectBytes(bytes.subarray(0, length)), `length ${length}`).toThrow(
        expect.objectContaining({ name: 'CredentialRefusal' }) as Error,
      )
    }
  })

  test('one byte changed anywhere in a JKS is refused', () => {
    const bytes = keystoreBytes('ec.jks')
    for (let offset = 0; offset < bytes.length; offset += 5) {
      const altered = Buffer.from(bytes)
      altered.writeUInt8(altered.readUInt8(offset) ^ 1, offset)
      expect(() => inspectBytes(altered), `offset ${offset}`).toThrow(
        expect.objectContaining({ name: 'CredentialRefusal' }) as Error,
      )
    }
  })

  test("a JKS whose certificate was exchanged for another key's, with its digest made right, is refused", () => {
    const content = keystoreBytes('two.jks').subarray(0, -20)
    const [one, two] = certificatesIn(content)
    const [a, b] = [content.subarray(one.start, one.end), content.subarray(two.start, two.end)]
    const parts = [
      content.subarray(0, one.start - 4),
      sized(b),
      content.subarray(one.end, two.start - 4),
      sized(a),
      content.subarray(two.end),
    ]
    const rebuilt = Buffer.concat(parts)
    const sealed = (body: Buffer) => Buffer.concat([body, jksDigest(body)])
    expect(inspectBytes(sealed(content), { keyAlias: 'one' }).keyAlias).toBe('one')
    expect(() => inspectBytes(sealed(rebuilt), { keyAlias: 'one' })).toThrow(
      refusal('keystore-key-mismatch', /belongs to another key/),
    )
  })
})

function der(tag: number, content: Buffer | Buffer[]): Buffer {
  const bytes = Buffer.isBuffer(content) ? content : Buffer.concat(content)
  return Buffer.concat([Buffer.from([tag, bytes.length]), bytes])
}

function number(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return der(0x02, bytes)
}

function sized(bytes: Buffer): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  return Buffer.concat([length, bytes])
}

function jksDigest(content: Buffer): Buffer {
  const password = Buffer.from(storePassword, 'utf16le').swap16()
  return createHash('sha1').update(password).update('Mighty Aphrodite').update(content).digest()
}

type Span = { start: number; end: number }
function certificatesIn(content: Buffer): [Span, Span] {
  const marker = Buffer.from('\x00\x05X.509', 'latin1')
  const spanAt = (from: number): Span => {
    const start = content.indexOf(marker, from) + marker.length + 4
    return { start, end: start + content.readUInt32BE(start - 4) }
  }
  const first = spanAt(0)
  return [first, spanAt(first.end)]
}
