import { createPrivateKey } from 'node:crypto'
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, connect } from 'node:net'
import type { AddressInfo } from 'node:net'
import { describe, expect, test } from 'vitest'
import { importReleaseKey, type RootStatement, trustOf, verifyNextRoot } from '../src/release/index.js'
import { at, capstan, useHome } from './cli-lab.js'
import { startPublishServer } from './publish-server.js'
import { customer, ed25519Pair, platformKeys, rsaPair, stranger } from './update-fixture.js'

useHome()

const signArgs = (...signer: string[]): string[] => ['sign', at('web'), '--zip', at(`${Math.random()}.zip`), ...signer]

/** A signing program as a KMS client would be: the key is elsewhere, it reads a message and prints a signature. */
function program(body: string): string {
  const path = at('signer.mjs')
  writeFileSync(path, `#!${process.execPath}\n${body}`)
  chmodSync(path, 0o755)
  return path
}
const kms = (key: string): string =>
  program(`import { createSign } from 'node:crypto'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
const message = readFileSync(0)
if (createHash('sha256').update(message).digest('hex') !== process.env.CAPSTAN_SHA256) process.exit(9)
if (process.env.CAPSTAN_ALGORITHM !== 'RSASSA-PKCS1-v1_5') process.exit(8)
console.log(createSign('sha256').update(message).sign(readFileSync(${JSON.stringify(key)}), 'base64'))
`)

describe('where the key is', () => {
  test('in a file, in an environment variable, behind a program: the same signature', async () => {
    const file = await capstan(signArgs('--key', at('key.pem')))
    const variable = await capstan(signArgs('--key-env', 'RELEASE_KEY'), {
      variable: (name) => (name === 'RELEASE_KEY' ? customer.privateKey : null),
    })
    const external = await capstan(signArgs('--signer', kms(at('key.pem')), '--signer-key', at('key.pub.pem')))
    expect(file).toMatchObject({ code: 0, err: [] })
    expect(variable).toEqual(file)
    expect(external).toEqual(file)
  })

  test.each([
    ['a program that fails', () => program('process.exit(3)'), 'SIGNER'],
    ['a program that prints something else', () => program('console.log("hello")'), 'SIGNER'],
    [
      'a program with another key',
      () => (writeFileSync(at('other.pem'), stranger.privateKey), kms(at('other.pem'))),
      'SIGNER',
    ],
    ['a program that is not there', () => at('nothing'), 'SIGNER'],
  ])('%s is refused', async (_what, make, code) => {
    const outcome = await capstan(signArgs('--signer', make(), '--signer-key', at('key.pub.pem')))
    expect(outcome).toMatchObject({ code: 1, out: [] })
    expect(outcome.err.at(-1)).toContain(`(${code})`)
  })

  test.each([
    [['--key-env', 'NOT_SET'], 1, 'KEY_MISSING'],
    [['--key', 'key.pem', '--key-env', 'X'], 2, 'Give one of'],
    [['--signer', 'x'], 2, '--signer-key is missing'],
    [[], 2, '--key is missing'],
  ])('%j is refused', async (args, code, message) => {
    const outcome = await capstan(signArgs(...args))
    expect(outcome.code).toBe(code)
    expect(outcome.err.join()).toContain(message)
  })

  test('a PSS key pair signs and verifies', async () => {
    expect((await capstan(['keygen', '--pss', '--private', at('pss.pem')])).code).toBe(0)
    const signed = await capstan(['sign', at('web'), '--zip', at('b.zip'), '--key', at('pss.pem')])
    const check = (signature: string): ReturnType<typeof capstan> =>
      capstan(['verify', at('b.zip'), '--public-key', at('pss.pub.pem'), '--signature', signature])
    expect(await check(signed.out[0]!)).toMatchObject({ code: 0 })
    expect((await check(Buffer.alloc(384).toString('base64'))).err[0]).toContain('(BAD_SIGNATURE)')
  })
})

describe('verify', () => {
  const release = ['--app', 'app', '--channels', 'production', '--bundle', 'b1', '--sequence', '7']
  async function sign(): Promise<string> {
    const args = [
      'sign',
      at('web'),
      '--zip',
      at('b.zip'),
      '--key',
      at('key.pem'),
      '--release',
      at('r.json'),
      ...release,
    ]
    return (await capstan(args)).out[0]!
  }
  const check = (...args: string[]): ReturnType<typeof capstan> =>
    capstan(['verify', at('b.zip'), '--public-key', at('key.pub.pem'), ...args])

  test('what sign made is good', async () => {
    const signature = await sign()
    const outcome = await check('--signature', signature, '--release', at('r.json'))
    expect(outcome.code).toBe(0)
    expect(outcome.out[0]).toBe('release      7 of app for production')
  })

  test('another zip, another key, another statement are refused', async () => {
    const signature = await sign()
    writeFileSync(at('other.pub.pem'), stranger.publicKey)
    const other = await capstan(['verify', at('b.zip'), '--public-key', at('other.pub.pem'), '--signature', signature])
    expect(other).toMatchObject({ code: 1 })
    writeFileSync(at('web', 'assets', 'app.js'), 'show("changed")')
    await capstan(['sign', at('web'), '--zip', at('c.zip'), '--key', at('key.pem')])
    const changed = await capstan(['verify', at('c.zip'), '--public-key', at('key.pub.pem'), '--release', at('r.json')])
    expect(changed.err[0]).toMatch(/\((?:SIZE|HASH)_MISMATCH\)/)
    writeFileSync(at('r.json'), readFileSync(at('r.json'), 'utf8').replace('"payload":"', '"payload":"AAAA'))
    expect((await check('--release', at('r.json'))).err[0]).toContain('(BAD_SIGNATURE)')
    expect((await check()).code).toBe(2)
  })
})

describe('rotate-root', () => {
  const base = ['rotate-root', '--app', 'app', '--platform-keys']
  async function rotate(
    ...args: string[]
  ): Promise<{ outcome: Awaited<ReturnType<typeof capstan>>; envelope: unknown }> {
    writeFileSync(at('platform.pub.pem'), platformKeys.publicKey)
    writeFileSync(at('new.pem'), stranger.privateKey)
    const outcome = await capstan([
      ...base,
      at('platform.pub.pem'),
      '--out',
      at('root.json'),
      '--key',
      at('key.pem'),
      ...args,
    ])
    const envelope = existsSync(at('root.json')) ? (JSON.parse(readFileSync(at('root.json'), 'utf8')) as unknown) : null
    return { outcome, envelope }
  }
  const embedded = (): ReturnType<typeof trustOf> =>
    trustOf({
      version: 1,
      releaseKeys: [customer.publicKey],
      platformKeys: [platformKeys.publicKey],
      revokedBundleIds: [],
    } satisfies Partial<RootStatement>)

  test('devices of the old root take the new key and the revocations, and no longer the old key', async () => {
    const { outcome, envelope } = await rotate('--version', '2', '--new-key', at('new.pem'), '--revoke', 'b1,b2')
    expect(outcome).toMatchObject({ code: 0, err: [] })
    const { trust } = await verifyNextRoot(envelope, await embedded(), 'app')
    expect(trust.releaseKeys.map((key) => key.keyId)).toEqual([(await importReleaseKey(stranger.publicKey)).keyId])
    expect(trust.revokedBundleIds).toEqual(['b1', 'b2'])
    expect(trust.rootVersion).toBe(2)
  })

  test('revoking alone keeps the key', async () => {
    const { outcome, envelope } = await rotate('--version', '2', '--revoke', 'b1')
    expect(outcome.code).toBe(0)
    const { trust } = await verifyNextRoot(envelope, await embedded(), 'app')
    expect(trust.releaseKeys.map((key) => key.keyId)).toEqual([(await importReleaseKey(customer.publicKey)).keyId])
  })

  test.each([
    ['version 1', ['--version', '1'], 2, '--version'],
    ['a weak new key', ['--version', '2', '--new-key-env', 'WEAK'], 1, 'KEY_SIZE'],
    ['a release key that is private', ['--version', '2', '--release-keys', 'KEY'], 1, 'KEY_PRIVATE'],
    ['no version', [], 2, '--version is missing'],
  ])('%s is refused, and nothing is written', async (_what, args, code, message) => {
    const weak = rsaPair(1024).privateKey
    writeFileSync(at('platform.pub.pem'), platformKeys.publicKey)
    const given = args.map((arg) => (arg === 'KEY' ? at('key.pem') : arg))
    const outcome = await capstan(
      [...base, at('platform.pub.pem'), '--out', at('root.json'), '--key', at('key.pem'), ...given],
      { variable: () => weak },
    )
    expect(outcome.code).toBe(code)
    expect(outcome.err.join()).toContain(message)
    expect(existsSync(at('root.json'))).toBe(false)
  })

  test('a platform key that is not Ed25519, or is the release key, is refused', async () => {
    const outcome = await capstan([
      ...base,
      at('key.pub.pem'),
      '--version',
      '2',
      '--out',
      at('r'),
      '--key',
      at('key.pem'),
    ])
    expect(outcome.err[0]).toContain('(KEY_ALGORITHM)')
    const both = ed25519Pair()
    writeFileSync(at('both.pem'), both.privateKey)
    writeFileSync(at('both.pub.pem'), both.publicKey)
    const reused = await capstan([
      ...base,
      at('both.pub.pem'),
      '--version',
      '2',
      '--out',
      at('r'),
      '--key',
      at('both.pem'),
    ])
    expect(reused.err[0]).toContain('(KEY_REUSED)')
  })
})

describe('traffic', () => {
  /** Every number of a private key that is secret. */
  function secretsOf(pem: string): Buffer[] {
    const jwk = createPrivateKey(pem).export({ format: 'jwk' })
    return ['d', 'p', 'q', 'dp', 'dq', 'qi'].map((name) => Buffer.from(String(jwk[name as 'd']), 'base64url'))
  }

  /** Whether any 12 bytes of a secret are in what was sent: raw, hex, or base64 at any alignment. */
  function leaks(sent: Buffer, secret: Buffer): boolean {
    const text = sent.toString('latin1')
    for (let start = 0; start + 12 <= secret.length; start += 6) {
      const window = secret.subarray(start, start + 12)
      if (sent.includes(window) || text.toLowerCase().includes(window.toString('hex'))) return true
    }
    for (let start = 0; start + 18 <= secret.length; start++) {
      const window = secret.subarray(start, start + 18)
      if (text.includes(window.toString('base64')) || text.includes(window.toString('base64url'))) return true
    }
    return false
  }

  test('publishing sends signatures and no byte of the key', async () => {
    const api = await startPublishServer()
    const recorded: Buffer[] = []
    const recorder = createServer((socket) => {
      const onward = connect((api.server.address() as AddressInfo).port, '127.0.0.1')
      socket.on('data', (chunk) => recorded.push(chunk))
      socket.pipe(onward).pipe(socket)
      for (const end of [socket, onward]) end.on('error', () => undefined)
    })
    await new Promise<void>((resolve) => recorder.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(recorder.address() as AddressInfo).port}`
    const common = ['--app', 'app', '--server', url, '--token-file', at('token')]
    expect((await capstan(['register-key', at('key.pub.pem'), ...common])).code).toBe(0)
    expect(
      (await capstan(['publish', at('web'), '--channel', 'production', '--key', at('key.pem'), ...common])).code,
    ).toBe(0)
    recorder.close()
    api.server.close()
    api.server.closeAllConnections()

    const sent = Buffer.concat(recorded)
    const text = sent.toString('latin1')
    // The recording is of the right traffic: the public key and the signature are in it.
    expect(text).toContain(customer.publicKey.split('\n')[1])
    expect(text).toContain('name="signature"')
    expect(text).not.toContain('PRIVATE')
    for (const secret of secretsOf(customer.privateKey)) expect(leaks(sent, secret)).toBe(false)
    // The search finds a key that is there, in each of the three forms.
    const [secret] = secretsOf(customer.privateKey)
    for (const form of [secret!, Buffer.from(secret!.toString('hex')), Buffer.from(secret!.toString('base64'))])
      expect(leaks(Buffer.concat([sent, form]), secret!)).toBe(true)
  })
})
