import { writeFile } from 'node:fs/promises'

import { createHmac, createPrivateKey, X509Certificate } from 'node:crypto'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { readInteger, readOctets } from '../src/credentials/ber.js'
import { inspectAppleIdentity } from '../src/credentials/inspect-apple-identity.js'
import { derivePkcs12Key, KeyPurpose } from '../src/credentials/pkcs12/derive-key.js'
import { readOuter } from '../src/credentials/pkcs12/read-pkcs12.js'
import { AppleAuthority, TEAM } from './apple-authority.js'
import { keystoreBytes, storePassword } from './keystore-fixtures.js'

let apple: AppleAuthority
const now = new Date()
const password = 'p12-password'

beforeAll(async () => {
  apple = await AppleAuthority.create()
  await apple.identity('rsa')
  await apple.identity('ec', {
    key: ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
    commonName: 'Apple Development: A (B)',
  })
})
afterAll(() => apple[Symbol.asyncDispose]())

const inspect = (bytes: Buffer, at = now, secret = password) => inspectAppleIdentity(bytes, secret, at)
const refusal = (code: string, message: RegExp) =>
  expect.objectContaining({
    name: 'CredentialRefusal',
    code,
    message: expect.stringMatching(message) as string,
  }) as Error
const EC = ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256']

describe('an identity that is taken', () => {
  test.each([
    ['rsa', 'production', 'rsa', 2048],
    ['ec', 'development', 'prime256v1', null],
  ] as const)('%s', async (name, type, keyType, keyBits) => {
    const { facts, key } = inspect(await apple.p12(name, password))
    expect(facts).toMatchObject({ format: 'pkcs12', type, keyType, keyBits, teamId: TEAM, keyAlias: null })
    expect(facts.fingerprintSha256).toBe(await apple.fingerprint(name))
    const own = new X509Certificate(Buffer.from(key.chainDerB64[0]!, 'base64'))
    const normalized = createPrivateKey({ key: Buffer.from(key.keyPkcs8B64, 'base64'), format: 'der', type: 'pkcs8' })
    expect(own.checkPrivateKey(normalized)).toBe(true)
    expect(normalized.equals(createPrivateKey(await apple.read(`${name}.key`)))).toBe(true)
  })

  test.each(['Apple Distribution', 'iPhone Distribution', '3rd Party Mac Developer Application'])(
    '%s',
    async (kind) => {
      const name = kind.replaceAll(' ', '-')
      await apple.identity(name, { commonName: `${kind}: Example (${TEAM})`, key: EC })
      expect(inspect(await apple.p12(name, password)).facts).toMatchObject({
        type: 'production',
        keyType: 'prime256v1',
      })
    },
  )

  test('as Keychain exports it: RC2 and 3DES, the leaf not first, the chain inside', async () => {
    await writeFile(
      apple.path('upside-down.pem'),
      Buffer.concat([await apple.read('root.crt'), await apple.read('wwdr.crt')]),
    )
    const bytes = await apple.p12('rsa', password, '-legacy', '-certfile', 'upside-down.pem')
    const { facts, key } = inspect(bytes)
    expect(facts.fingerprintSha256).toBe(await apple.fingerprint('rsa'))
    const chain = key.chainDerB64.map((der) => new X509Certificate(Buffer.from(der, 'base64')).subject.split('\n')[0])
    expect(chain).toEqual(['CN=Apple Distribution: Example (TEAM123456)', 'CN=Test WWDR', 'CN=Test Root CA'])
    expect(facts.warnings).toEqual([
      "The certificate is not issued by one of Apple's intermediates that are known here.",
    ])
  })

  test('with a warning when it has no intermediate, or an unusual name', async () => {
    await apple.identity('odd', { commonName: 'Somebody', key: EC })
    expect(inspect(await apple.p12('odd', password)).facts.warnings).toEqual([
      '"Somebody" is neither an Apple Distribution nor an Apple Development certificate.',
      expect.stringMatching(/no intermediate certificate/),
    ])
  })
})

describe('an identity that is refused', () => {
  test('wrong password', async () => {
    const bytes = await apple.p12('ec', password)
    for (const wrong of ['', 'p12-Password', 'pässword', `${password} `]) {
      expect(() => inspect(bytes, now, wrong)).toThrow(refusal('keystore-password-wrong', /password is wrong/))
    }
  })

  test.each([
    [
      'a key on another curve',
      'p384',
      { key: ['ec', '-pkeyopt', 'ec_paramgen_curve:P-384'] },
      'certificate-key-weak',
      /P-256/,
    ],
    ['a short key', 'rsa1024', { key: ['rsa:1024'] }, 'certificate-key-weak', /rsa of 1024 bits/],
    ['no team', 'teamless', { team: '', key: EC }, 'certificate-team-missing', /no Apple team/],
    ['a team that is none', 'lowerteam', { team: 'team123456', key: EC }, 'certificate-team-missing', /no Apple team/],
    [
      'not for code signing',
      'tls',
      { usage: 'serverAuth', key: EC },
      'certificate-not-for-code-signing',
      /not for code/,
    ],
    [
      'expired',
      'old',
      { days: ['20200101000000Z', '20210101000000Z'], key: EC },
      'keystore-certificate-expired',
      /2021-01-01/,
    ],
    [
      'not valid yet',
      'early',
      { days: ['20400101000000Z', '20450101000000Z'], key: EC },
      'certificate-not-yet-valid',
      /2040-01-01/,
    ],
  ] as [string, string, Parameters<AppleAuthority['identity']>[1], string, RegExp][])(
    '%s',
    async (_, name, options, code, message) => {
      await apple.identity(name, options)
      const bytes = await apple.p12(name, password)
      expect(() => inspect(bytes)).toThrow(refusal(code, message))
    },
  )

  test('certificates alone, a key alone, two keys', async () => {
    const alone = await apple.p12('ec', password, '-nokeys')
    expect(() => inspect(alone)).toThrow(refusal('keystore-no-private-key', /together with its private key/))
    const key = await apple.p12('ec', password, '-nocerts')
    expect(() => inspect(key)).toThrow(refusal('keystore-damaged', /no readable certificate/))
    expect(() => inspectAppleIdentity(keystoreBytes('two.p12'), storePassword, now)).toThrow(
      refusal('keystore-several-keys', /2 private keys/),
    )
  })

  test("a key beside another key's certificate, with the MAC made right", async () => {
    await apple.identity('one', { key: EC })
    const bytes = await apple.p12('one', password, '-keypbe', 'NONE', '-certpbe', 'NONE')
    const [own, other] = [await derOf('one'), await twinOf('one')]
    const swapped = withMac(
      Buffer.from(
        bytes.toString('latin1').replace(own, () => other),
        'latin1',
      ),
    )
    expect(inspect(withMac(bytes)).facts.fingerprintSha256).toBe(await apple.fingerprint('one'))
    expect(() => inspect(swapped)).toThrow(refusal('keystore-key-mismatch', /belongs to another key/))
  })

  test.each([
    ['PEM', Buffer.from('-----BEGIN CERTIFICATE-----\nMIIE'), 'keystore-unrecognized', /a PEM file; export/],
    ['JKS', keystoreBytes('ec.jks'), 'keystore-unrecognized', /no PKCS12 file; export/],
    ['without MAC', keystoreBytes('nomac.p12'), 'keystore-mac-missing', /-nomac/],
    ['a bomb', keystoreBytes('bomb.p12'), 'keystore-too-costly', /rounds/],
  ] as const)('%s', (_, bytes, code, message) => {
    expect(() => inspect(bytes, now, storePassword)).toThrow(refusal(code, message))
  })

  test('cut anywhere', async () => {
    const bytes = await apple.p12('ec', password)
    for (let length = 0; length < bytes.length; length += 11) {
      expect(() => inspect(bytes.subarray(0, length)), `length ${length}`).toThrow(
        expect.objectContaining({ name: 'CredentialRefusal' }) as Error,
      )
    }
  })
})

const derOf = async (name: string) => new X509Certificate(await apple.read(`${name}.crt`)).raw.toString('latin1')

/** Another certificate of the same length. */
async function twinOf(name: string): Promise<string> {
  const own = await derOf(name)
  for (let count = 0; ; count += 1) {
    await apple.identity(`twin${count}`, { key: EC })
    const twin = await derOf(`twin${count}`)
    if (twin.length === own.length) return twin
  }
}

/** The same file with the MAC that its content should have. */
function withMac(bytes: Buffer): Buffer {
  const { content, macData } = readOuter(bytes)
  const [salt, iterations] = [readOctets(macData.children[1]!), readInteger(macData.children[2]!)]
  const secret = Buffer.from(`${password}\0`, 'utf16le').swap16()
  const key = derivePkcs12Key({ digest: 'sha256', password: secret, salt, iterations }, KeyPurpose.mac, 32)
  const mac = createHmac('sha256', key).update(content).digest()
  const old = readOctets(macData.children[0]!.children[1]!)
  const fixed = Buffer.from(bytes)
  mac.copy(fixed, bytes.lastIndexOf(old))
  return fixed
}
