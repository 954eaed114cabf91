import { writeFile } from 'node:fs/promises'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { inspectProfile } from '../src/credentials/inspect-profile.js'
import { AppleAuthority, profilePlist, TEAM } from './apple-authority.js'

let apple: AppleAuthority
let roots: string[]
const now = new Date()

beforeAll(async () => {
  apple = await AppleAuthority.create()
  await apple.identity('one')
  await apple.identity('two')
  roots = [await apple.fingerprint('root')]
})
afterAll(() => apple[Symbol.asyncDispose]())

const inspect = (bytes: Buffer, at = now) => inspectProfile(bytes, roots, at)
const refusal = (code: string, message: RegExp) =>
  expect.objectContaining({
    name: 'CredentialRefusal',
    code,
    message: expect.stringMatching(message) as string,
  }) as Error

describe('a profile that is taken', () => {
  test('tells what is in it', async () => {
    const facts = inspect(
      await apple.profile({ certificates: ['one', 'two'], name: 'Shop', target: 'com.example.shop' }),
    )
    expect(facts).toMatchObject({
      uuid: '0f3a8f3e-0000-4000-8000-000000000001',
      name: 'Shop',
      teamId: TEAM,
      teamName: 'Example',
      applicationIdentifier: `${TEAM}.com.example.shop`,
      type: 'app-store',
      platforms: ['iOS'],
      expiresAt: '2035-01-01T00:00:00.000Z',
      deviceCount: 0,
      certificateFingerprints: [await apple.fingerprint('one'), await apple.fingerprint('two')],
      isXcodeManaged: false,
      entitlements: ['application-identifier', 'get-task-allow'],
    })
  })

  test.each(['development', 'ad-hoc', 'app-store', 'enterprise'] as const)('%s is derived', async (kind) => {
    const facts = inspect(await apple.profile({ certificates: ['one'], kind }))
    expect([facts.type, facts.deviceCount]).toEqual([kind, kind === 'development' || kind === 'ad-hoc' ? 1 : 0])
  })

  test.each([
    ['named by its key id', ['-keyid']],
    ['signed with SHA-1', ['-md', 'sha1']],
    ['signed with SHA-512', ['-md', 'sha512']],
    ['signed with RSA-PSS', ['-keyopt', 'rsa_padding_mode:pss']],
    ['in BER of indefinite length', ['-stream']],
  ])('%s', async (_, args) => {
    const bytes = await apple.sign(profilePlist({ certificates: [] }, ['QUJD']), 'signer', ...args)
    expect(inspect(bytes).teamId).toBe(TEAM)
  })

  test('openssl agrees, and refuses the same with one byte changed', async () => {
    const bytes = await apple.profile({ certificates: ['one'] })
    const verify = ['cms', '-verify', '-inform', 'DER', '-CAfile', 'root.crt', '-purpose', 'any', '-out', 'content']
    await writeFile(apple.path('good'), bytes)
    await apple.openssl(...verify, '-in', 'good')
    const at = bytes.indexOf('com.example.app')
    const altered = Buffer.from(bytes)
    altered.writeUInt8(altered.readUInt8(at) ^ 1, at)
    await writeFile(apple.path('bad'), altered)
    await expect(apple.openssl(...verify, '-in', 'bad')).rejects.toThrow(/verification failure/i)
    expect(() => inspect(altered)).toThrow(refusal('profile-signature-invalid', /changed after it was signed/))
  })
})

describe('a profile that is refused', () => {
  test('any byte changed anywhere, unless it says the same', async () => {
    const bytes = await apple.profile({ certificates: ['one'] })
    const good = inspect(bytes)
    const taken: number[] = []
    for (let offset = 0; offset < bytes.length; offset += 3) {
      const altered = Buffer.from(bytes)
      altered.writeUInt8(altered.readUInt8(offset) ^ 1, offset)
      try {
        expect(inspect(altered), `offset ${offset}`).toEqual(good)
        taken.push(offset)
      } catch (error) {
        if (!(error instanceof Error) || error.name !== 'CredentialRefusal') throw error
      }
    }
    // What may change: a spare certificate, lengths of the parts that are not signed.
    expect(taken.length).toBeLessThan(bytes.length / 3 / 2)
  })

  test('of a root that is not pinned', async () => {
    const bytes = await apple.profile({ certificates: ['one'] })
    expect(() => inspectProfile(bytes, ['0'.repeat(64)], now)).toThrow(
      refusal('profile-untrusted', /not signed by Apple/),
    )
    expect(inspectProfile(bytes, ['0'.repeat(64), ...roots], now).teamId).toBe(TEAM)
  })

  test("signed with a developer's certificate of the same root", async () => {
    const bytes = await apple.profile({ certificates: ['one'], signer: 'one' })
    expect(() => inspect(bytes)).toThrow(refusal('profile-untrusted', /not signed by Apple/))
  })

  test('signed with a certificate of the right name that a developer issued', async () => {
    const subject = '/CN=Apple iPhone OS Provisioning Profile Signing/O=Apple Inc.'
    await apple.certificate('forged', { subject, issuer: 'one' })
    const bytes = await apple.sign(profilePlist({ certificates: [] }, ['QUJD']), 'forged', '-certfile', 'one.crt')
    expect(() => inspect(bytes)).toThrow(refusal('profile-untrusted', /not signed by Apple/))
  })

  test('without signed attributes', async () => {
    const bytes = await apple.sign(profilePlist({ certificates: [] }, ['QUJD']), 'signer', '-noattr')
    expect(() => inspect(bytes)).toThrow(refusal('profile-signature-invalid', /no signed attributes/))
  })

  test('expired, and made when its signer was not valid', async () => {
    const bytes = await apple.profile({ certificates: ['one'], expires: '2030-01-01T00:00:00Z' })
    expect(() => inspect(bytes, new Date('2030-01-01T00:00:00Z'))).toThrow(refusal('profile-expired', /on 2030-01-01/))
    expect(inspect(bytes, new Date('2029-12-31T23:59:59Z')).name).toBe('Example App Store')
    const early = await apple.profile({ certificates: ['one'], created: '2001-01-01T00:00:00Z' })
    expect(() => inspect(early)).toThrow(refusal('profile-untrusted', /not signed by Apple/))
  })

  test.each([
    ['no plist', 'hello'],
    ['no team', profilePlist({ certificates: [] }, ['QUJD']).replace(/<key>TeamIdentifier.*/, '')],
    ['no certificate', profilePlist({ certificates: [] }, [])],
    [
      'a key twice',
      profilePlist({ certificates: [] }, ['QUJD']).replace('<key>UUID', '<key>Name</key><string/><key>UUID'),
    ],
    ['an entity of its own', profilePlist({ certificates: [] }, ['QUJD']).replace('Example &amp; more', '&xxe;')],
  ])('%s', async (_, content) => {
    const bytes = await apple.sign(content)
    expect(() => inspect(bytes)).toThrow(refusal('profile-damaged', /lacks something/))
  })

  test.each([
    ['text', Buffer.from('hello')],
    ['the bare plist', Buffer.from(profilePlist({ certificates: [] }, []))],
    ['DER of something else', Buffer.from('3003020103', 'hex')],
    ['nothing', Buffer.alloc(0)],
  ])('%s', (_, bytes) => {
    expect(() => inspect(bytes)).toThrow(refusal('profile-unrecognized', /not a provisioning profile/))
  })
})
