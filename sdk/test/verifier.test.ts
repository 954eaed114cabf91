import { createHash, createPublicKey, verify as verifyNow, constants } from 'node:crypto'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { importReleaseSigner, signRoot, useVerifier, type Verifier, webCryptoVerifier } from '../src/release/index.js'
import { appId, customer, platformKeys, shown } from './update-fixture.js'
import { useLab } from './update-lab.js'

const lab = useLab()
const { open, publishRelease, expectRefused } = lab
afterEach(async () => {
  vi.unstubAllGlobals()
  await useVerifier(webCryptoVerifier)
})

/** A verifier that asks nothing of WebCrypto, as an app would give one from native code. */
const native: Verifier = {
  sha256: (bytes) => Promise.resolve(createHash('sha256').update(bytes).digest()),
  importKey({ algorithm, spki }) {
    const key = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' })
    const padding = algorithm === 'RSA-PSS' ? constants.RSA_PKCS1_PSS_PADDING : constants.RSA_PKCS1_PADDING
    return Promise.resolve((message, signature) =>
      Promise.resolve(
        algorithm === 'Ed25519'
          ? verifyNow(null, message, key, signature)
          : verifyNow('sha256', message, { key, padding, saltLength: 32 }, signature),
      ),
    )
  },
}
/** What a page has outside a secure context: random numbers, nothing else. */
const insecure = { getRandomValues: globalThis.crypto.getRandomValues.bind(globalThis.crypto) }

describe('a web view without WebCrypto', () => {
  test('does not start without a verifier, and says what to do', async () => {
    for (const crypto of [insecure, undefined]) {
      vi.stubGlobal('crypto', crypto)
      await expect(open()).rejects.toMatchObject({ code: 'CRYPTO_UNAVAILABLE', message: /docs\/verifier\.md/ })
    }
  })

  test('takes and refuses updates with a verifier as others do without', async () => {
    await publishRelease('one', 10)
    vi.stubGlobal('crypto', insecure)
    const updates = await open({ verifier: native })
    expect((await updates.sync()).status).toBe('staged')
    const launch = await updates.launch()
    expect(shown(launch.directory)).toBe('one')
    await updates.ready(launch.nonce)
    vi.unstubAllGlobals()
    await publishRelease('two', 9)
    vi.stubGlobal('crypto', insecure)
    await expectRefused(updates, 'DOWNGRADE', 'one')
  })

  test('whose WebCrypto lacks Ed25519 is told so, and may fill in just that', async () => {
    await publishRelease('one', 10)
    const { subtle } = globalThis.crypto
    const importKey = (format: never, key: never, algorithm: { name: string }, ...rest: never[]): Promise<unknown> =>
      algorithm.name === 'Ed25519'
        ? Promise.reject(Object.assign(new Error('no'), { name: 'NotSupportedError' }))
        : (subtle.importKey as (...args: unknown[]) => Promise<unknown>).call(subtle, format, key, algorithm, ...rest)
    const old = {
      ...insecure,
      subtle: { importKey, digest: subtle.digest.bind(subtle), verify: subtle.verify.bind(subtle) },
    }
    vi.stubGlobal('crypto', old)
    await expect(open()).rejects.toMatchObject({ code: 'CRYPTO_UNAVAILABLE', message: /Ed25519/ })
    const filledIn: Verifier = {
      ...webCryptoVerifier,
      importKey: (key) => (key.algorithm === 'Ed25519' ? native.importKey(key) : webCryptoVerifier.importKey(key)),
    }
    expect((await (await open({ verifier: filledIn })).sync()).status).toBe('staged')
  })
})

const wrong: [what: string, change: Partial<Verifier>][] = [
  ['hashes wrongly', { sha256: async (bytes) => (await native.sha256(bytes)).subarray(1) }],
  ['hashes everything alike', { sha256: () => native.sha256(new TextEncoder().encode('capstan known answer')) }],
  ['cannot hash', { sha256: () => Promise.reject(new Error('no')) }],
  ['says yes to everything', { importKey: () => Promise.resolve(() => Promise.resolve(true)) }],
  ['says no to everything', { importKey: () => Promise.resolve(() => Promise.resolve(false)) }],
  [
    'answers with something that is not a verdict',
    { importKey: () => Promise.resolve(() => Promise.resolve(1)) } as never,
  ],
  ['cannot import', { importKey: () => Promise.reject(new Error('no')) }],
  [
    'takes its arguments the other way round',
    {
      importKey: async (key) => {
        const verify = await native.importKey(key)
        return (a, b) => verify(b, a)
      },
    },
  ],
]
test.each(wrong)('a verifier that %s is not used', async (_what, change) => {
  await expect(open({ verifier: { ...native, ...change } })).rejects.toMatchObject({ code: 'CRYPTO_UNAVAILABLE' })
  await expect(open({ verifier: native })).resolves.toBeDefined()
})

test('a bundle that is staged is not run once a root statement revokes it', async () => {
  const signer = await importReleaseSigner(customer.privateKey, 'k')
  const root = await signRoot(
    {
      _type: 'capstan-root/v1',
      appId,
      version: 2,
      createdAt: new Date().toISOString(),
      releaseKeys: [customer.publicKey],
      platformKeys: [platformKeys.publicKey],
      revokedBundleIds: ['bundle-10'],
    },
    [signer],
  )
  await publishRelease('one', 10)
  const updates = await open()
  await updates.sync()
  const { latest } = lab.server
  lab.server.latest = (request, response) => {
    const end = response.end.bind(response)
    response.end = ((body: string) => end(JSON.stringify({ ...JSON.parse(body), roots: [root] }))) as never
    latest(request, response)
  }
  await expect(updates.sync()).rejects.toMatchObject({ code: 'REVOKED' })
  expect(shown((await updates.launch()).directory)).toBe('built-in')
})
