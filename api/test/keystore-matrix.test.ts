import { createPrivateKey, type KeyObject } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { CredentialRefusal } from '../src/credentials/credential-refusal.js'
import { inspectAppleIdentity } from '../src/credentials/inspect-apple-identity.js'
import { inspectKeystore } from '../src/credentials/inspect-keystore.js'
import { AppleAuthority } from './apple-authority.js'
import { keystore, keystoreBytes, storePassword } from './keystore-fixtures.js'
import { askOpenssl, findKeytool } from './keytool-judge.js'

type Case = {
  name: string
  /** Arguments of `openssl pkcs12 -export`; null for a committed file that keytool made. */
  args: string[] | null
  identity?: 'rsa' | 'ec' | 'p384'
  password?: string
  /** The password that is tried, when it is another one. */
  tried?: string
  change?: (bytes: Buffer) => Buffer
  alias?: string
}
type Verdict = { sha256: string; key: KeyObject } | string

const both = (algorithm: string, ...more: string[]) => ['-keypbe', algorithm, '-certpbe', algorithm, ...more]
const SECRET = 'matrix-password'
const cases: Case[] = [
  { name: 'default', args: [] },
  { name: 'aes-128', args: both('AES-128-CBC') },
  { name: 'aes-192', args: both('AES-192-CBC') },
  { name: 'aes-256', args: both('AES-256-CBC') },
  { name: 'camellia-128', args: both('CAMELLIA-128-CBC') },
  { name: 'camellia-192', args: both('CAMELLIA-192-CBC') },
  { name: 'camellia-256', args: both('CAMELLIA-256-CBC') },
  { name: 'aria-256', args: both('ARIA-256-CBC') },
  { name: 'des3-pbes2', args: both('DES-EDE3-CBC') },
  { name: 'pbe-3des', args: both('PBE-SHA1-3DES', '-macalg', 'sha1') },
  { name: 'pbe-2des', args: both('PBE-SHA1-2DES', '-legacy') },
  { name: 'keychain', args: ['-legacy'] },
  { name: 'rc2-128', args: both('PBE-SHA1-RC2-128', '-legacy') },
  { name: 'rc2-40', args: both('PBE-SHA1-RC2-40', '-legacy') },
  { name: 'rc4-128', args: both('PBE-SHA1-RC4-128', '-legacy') },
  { name: 'rc4-40', args: both('PBE-SHA1-RC4-40', '-legacy') },
  { name: 'pbe-md5-des', args: both('PBE-MD5-DES', '-legacy') },
  { name: 'pbe-sha1-des', args: both('PBE-SHA1-DES', '-legacy') },
  { name: 'pbe-sha1-rc2-64', args: both('PBE-SHA1-RC2-64', '-legacy') },
  { name: 'mac-md5', args: ['-macalg', 'md5'] },
  { name: 'mac-sha1', args: ['-macalg', 'sha1'] },
  { name: 'mac-sha224', args: ['-macalg', 'sha224'] },
  { name: 'mac-sha384', args: ['-macalg', 'sha384'] },
  { name: 'mac-sha512', args: ['-macalg', 'sha512'] },
  { name: 'mac-sha3-256', args: ['-macalg', 'sha3-256'] },
  { name: 'mac-once', args: ['-nomaciter'] },
  { name: 'rounds-1', args: ['-iter', '1'] },
  { name: 'rounds-100000', args: ['-iter', '100000'] },
  { name: 'plain-certificate', args: ['-certpbe', 'NONE'] },
  { name: 'plain-key', args: ['-keypbe', 'NONE'] },
  { name: 'ec', args: [], identity: 'ec' },
  { name: 'ec-keychain', args: ['-legacy'], identity: 'ec' },
  { name: 'ec-camellia', args: both('CAMELLIA-256-CBC'), identity: 'ec' },
  { name: 'ec-p384', args: [], identity: 'p384' },
  { name: 'chain', args: ['-certfile', 'chain.pem'] },
  { name: 'empty-password', args: [], password: '' },
  { name: 'empty-password-keychain', args: ['-legacy'], password: '' },
  { name: 'umlaut', args: [], password: 'pässwörd' },
  { name: 'umlaut-keychain', args: ['-legacy'], password: 'pässwörd' },
  { name: 'beyond-bmp', args: both('AES-256-CBC'), password: 'key-🔑-word' },
  { name: 'long-password', args: [], password: 'x'.repeat(200) },
  { name: 'no-mac', args: ['-nomac'] },
  { name: 'bomb', args: ['-iter', '2000000'] },
  { name: 'certificate-only', args: ['-nokeys'] },
  { name: 'key-only', args: ['-nocerts'] },
  { name: 'wrong-password', args: [], tried: 'matrix-Password' },
  { name: 'cut', args: [], change: (bytes) => bytes.subarray(0, -200) },
  { name: 'flipped', args: [], change: (bytes) => flip(bytes, Math.floor(bytes.length / 2)) },
  { name: 'trailing', args: [], change: (bytes) => Buffer.concat([bytes, Buffer.from('00', 'hex')]) },
  { name: 'rsa.p12', args: null },
  { name: 'legacy.p12', args: null },
  { name: 'two.p12', args: null, alias: 'second' },
  { name: 'rsa.jks', args: null },
  { name: 'dsa.jks', args: null },
  { name: 'cert-only.jks', args: null },
  { name: 'jceks.jceks', args: null },
]

let apple: AppleAuthority
const files = new Map<string, Buffer>()
const keytool = findKeytool()

beforeAll(async () => {
  apple = await AppleAuthority.create()
  await apple.identity('rsa')
  for (const [name, curve] of [
    ['ec', 'P-256'],
    ['p384', 'P-384'],
  ] as const) {
    await apple.identity(name, { key: ['ec', '-pkeyopt', `ec_paramgen_curve:${curve}`] })
  }
  await writeFile(apple.path('chain.pem'), Buffer.concat([await apple.read('wwdr.crt'), await apple.read('root.crt')]))
  for (const { name, args, identity = 'rsa', password = SECRET, tried, change } of cases) {
    const made = args === null ? keystoreBytes(name) : await apple.p12(identity, password, '-name', 'upload', ...args)
    const bytes = change?.(made) ?? made
    files.set(name, bytes)
    await writeFile(apple.path(name), bytes)
    await writeFile(apple.path(`${name}.pass`), `${tried ?? (args === null ? storePassword : password)}\n`)
  }
})
afterAll(() => apple[Symbol.asyncDispose]())

/** As an Android keystore, which Java's tools must open, or as an Apple identity, which need not be readable to them. */
function inspect(
  { name, args, password = SECRET, tried, alias }: Case,
  kind: 'android' | 'apple' = 'android',
): Verdict {
  const secret = tried ?? (args === null ? storePassword : password)
  const keyPassword = name === 'rsa.jks' ? { keyPassword: 'other-key-pass' } : {}
  try {
    const access = { password: secret, ...(alias && { keyAlias: alias }), ...keyPassword }
    const bytes = files.get(name)!
    const { facts, key } =
      kind === 'android' ? inspectKeystore(bytes, access, new Date()) : inspectAppleIdentity(bytes, secret, new Date())
    const der = Buffer.from(key.keyPkcs8B64, 'base64')
    return { sha256: facts.fingerprintSha256, key: createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }) }
  } catch (error) {
    if (error instanceof CredentialRefusal) return error.code
    throw error
  }
}

/** The lines of the README's table: file, judge, what the judge says, what is said here. */
const readme = readFileSync(new URL('../src/credentials/README.md', import.meta.url), 'utf8')
const listed = [...readme.matchAll(/^\| `([^`]+)` +\| (openssl|keytool) +\| (\w+) +\| `?([\w-]+)`? +\|/gm)].map(
  ([, name, judge, theirs, ours]) => `${name} ${judge} ${theirs} ${ours}`,
)
const listedFor = (judge: string) => listed.filter((line) => line.split(' ')[1] === judge).toSorted()
const ours = (verdict: Verdict) => (typeof verdict === 'string' ? verdict : 'opens')

describe('the matrix of keystores', () => {
  test('has at least thirty files of its own', () => {
    expect(cases.filter(({ args }) => args !== null).length).toBeGreaterThanOrEqual(30)
    expect(new Set(cases.map(({ name }) => name)).size).toBe(cases.length)
  })

  test('openssl is of the same opinion of identities, but for what the README lists', async () => {
    const differences: string[] = []
    for (const item of cases.filter(({ args }) => args !== null)) {
      const [verdict, judged] = [inspect(item, 'apple'), await askOpenssl(apple.folder, item.name)]
      const theirs = judged?.key == null ? 'refuses' : 'opens'
      const same = typeof verdict === 'string' ? theirs === 'refuses' : theirs === 'opens'
      if (!same) differences.push(`${item.name} openssl ${theirs} ${ours(verdict)}`)
      else if (typeof verdict !== 'string') {
        expect([item.name, verdict.sha256]).toEqual([item.name, judged!.sha256])
        expect([item.name, verdict.key.equals(createPrivateKey(judged!.key!))]).toEqual([item.name, true])
      }
    }
    expect(differences.toSorted()).toEqual(listedFor('openssl'))
  })

  test.runIf(keytool !== null)(
    'keytool is of the same opinion of Android keystores, but for what the README lists',
    async () => {
      const typeOf = (name: string) => (name.endsWith('.jks') ? 'JKS' : name.endsWith('.jceks') ? 'JCEKS' : 'PKCS12')
      const asked = cases.map(({ name }) => ({ name, type: typeOf(name) }))
      const half = Math.ceil(asked.length / 2)
      const answers = await Promise.all(
        [asked.slice(0, half), asked.slice(half)].map((part) => keytool!(apple.folder, part)),
      )
      const judged = new Map(answers.flatMap((map) => [...map]))
      const differences: string[] = []
      for (const item of cases) {
        const [verdict, found] = [inspect(item), judged.get(item.name) ?? null]
        const theirs = found === null || found.length === 0 ? 'refuses' : 'opens'
        const same = typeof verdict === 'string' ? theirs === 'refuses' : theirs === 'opens'
        if (!same) differences.push(`${item.name} keytool ${theirs} ${ours(verdict)}`)
        else if (typeof verdict !== 'string')
          expect([item.name, found]).toEqual([item.name, expect.arrayContaining([verdict.sha256])])
      }
      expect(differences.toSorted()).toEqual(listedFor('keytool'))
    },
    600_000,
  )

  test.each([
    ['no-mac', 'keystore-mac-missing'],
    ['bomb', 'keystore-too-costly'],
    ['certificate-only', 'keystore-no-private-key'],
    ['key-only', 'keystore-damaged'],
    ['wrong-password', 'keystore-password-wrong'],
    ['cut', 'keystore-unrecognized'],
    ['mac-sha3-256', 'keystore-algorithm-unsupported'],
    ['jceks.jceks', 'keystore-unsupported-format'],
  ])('%s is refused as %s', (name, code) => {
    expect(inspect(cases.find((item) => item.name === name)!)).toBe(code)
  })

  test('keystores that keytool made have the fingerprints that it told then', () => {
    for (const item of cases.filter(({ args, name }) => args === null && name.endsWith('.p12'))) {
      const verdict = inspect(item)
      expect(keystore(item.name).sha256).toContain(typeof verdict === 'string' ? verdict : verdict.sha256)
    }
  })
})

function flip(bytes: Buffer, offset: number): Buffer {
  const altered = Buffer.from(bytes)
  altered.writeUInt8(altered.readUInt8(offset) ^ 1, offset)
  return altered
}
