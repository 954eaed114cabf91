import { ReleaseError } from '../release/release-error.js'

/** A public key that was read and judged already. */
export interface VerifierKey {
  algorithm: 'RSASSA-PKCS1-v1_5' | 'RSA-PSS' | 'Ed25519'
  /** SPKI DER. RSA keys carry the identifier `rsaEncryption`, whatever their padding. */
  spki: Uint8Array<ArrayBuffer>
}

/**
 * The cryptography of a device. Hashes are SHA-256; RSA-PSS has MGF1 with SHA-256 and a salt of 32 bytes. The default is
 * WebCrypto; give your own only where a web view lacks what your keys need, and from native code or a reviewed library.
 */
export interface Verifier {
  sha256(bytes: Uint8Array): Promise<Uint8Array>
  /** Rejects when it cannot verify by this key; else a function that says whether `signature` signs exactly `message`. */
  importKey(key: VerifierKey): Promise<(message: Uint8Array, signature: Uint8Array) => Promise<boolean>>
}

const saltLength = 32

function unavailable(what: string): ReleaseError {
  return new ReleaseError(
    'CRYPTO_UNAVAILABLE',
    `${what} Updates are off until the app gives a verifier (docs/verifier.md).`,
  )
}

type WebCrypto = typeof globalThis.crypto

function subtleCrypto(): WebCrypto['subtle'] {
  const crypto = globalThis.crypto as Partial<WebCrypto> | undefined
  if (!crypto?.subtle)
    throw unavailable('This page has no WebCrypto: it is not a secure context, or its web view is too old.')
  return crypto.subtle
}

type Hash = (bytes: Uint8Array) => Promise<ArrayBuffer>

/** SHA-256 by WebCrypto. */
export const webHash: Hash = async (bytes) => subtleCrypto().digest('SHA-256', bytes)
let hash = webHash

/** For adapters: the SHA-256 of the platform itself, where the way through WebCrypto is longer. */
export function useHash(platformHash: Hash): void {
  hash = platformHash
}

/** WebCrypto, as this device has it. */
export const webCryptoVerifier: Verifier = {
  sha256: async (bytes) => new Uint8Array(await hash(bytes)),
  async importKey({ algorithm: name, spki }) {
    const subtle = subtleCrypto()
    const algorithm = { name, hash: 'SHA-256', saltLength }
    const key = await subtle.importKey('spki', spki, algorithm, false, ['verify']).catch((cause: unknown) => {
      if (cause instanceof Error && cause.name === 'NotSupportedError')
        throw unavailable(`This web view cannot verify ${name} signatures.`)
      throw new ReleaseError('KEY_MALFORMED', 'The key cannot be read.')
    })
    return (message, signature) => subtle.verify(algorithm, key, signature, message)
  },
}

let current: Verifier = webCryptoVerifier

/** What verifies in this program. */
export function currentVerifier(): Verifier {
  return current
}

/**
 * Makes the whole program verify by something other than WebCrypto. It must first give known answers, right and wrong
 * ones, for hashes now and for each kind of key when one is pinned: a verifier that says yes to everything is not used.
 *
 * @throws {ReleaseError} `CRYPTO_UNAVAILABLE`
 */
export async function useVerifier(verifier: Verifier): Promise<void> {
  if (verifier === webCryptoVerifier) {
    current = verifier
    return
  }
  const { proveHash, proveKey } = await import('./known-answers.js')
  await proveHash(verifier)
  current = {
    sha256: (bytes) => verifier.sha256(bytes),
    async importKey(key) {
      await proveKey(verifier, key.algorithm)
      return verifier.importKey(key)
    },
  }
}
