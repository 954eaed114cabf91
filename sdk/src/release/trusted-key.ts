import { sha256Hex } from '../archive/sha256.js'
import { asPlainRsa } from './as-plain-rsa.js'
import { currentVerifier } from '../verifier/verifier.js'
import { decodeBase64 } from './base64.js'
import { type PublicKey, readPlatformPublicKey, readReleasePublicKey } from './read-public-key.js'
import { ReleaseError } from './release-error.js'

const blank = /^\s*(?:null|undefined)?\s*$/

/** A pinned public key. Algorithm and size are properties of the key, never of a message. */
export interface TrustedKey {
  /** SHA-256 of the SPKI DER, lower-case hex. */
  readonly keyId: string
  /** Bytes of a signature by this key. */
  readonly signatureBytes: number
  /** Whether `signature` signs exactly `message`. Every way to be wrong is the same `false`. */
  verify(message: Uint8Array, signature: Uint8Array): Promise<boolean>
}

/**
 * Pins a customer's key. It signs as the key itself says: RSASSA-PKCS1-v1_5 with SHA-256, RSA-PSS with SHA-256 and a salt
 * of 32 bytes, or Ed25519.
 *
 * @param pem one SPKI public key
 * @throws {ReleaseError} `KEY_*` when the key policy refuses it
 */
export async function importReleaseKey(pem: string): Promise<TrustedKey> {
  return importKey(readReleasePublicKey(pem))
}

/**
 * Pins a platform's key: Ed25519, nothing else.
 *
 * @param pem one SPKI public key
 * @throws {ReleaseError} `KEY_*` when the key policy refuses it
 */
export async function importPlatformKey(pem: string): Promise<TrustedKey> {
  return importKey(readPlatformPublicKey(pem))
}

async function importKey({ spki, bits, algorithm }: PublicKey): Promise<TrustedKey> {
  const signatureBytes = algorithm === 'Ed25519' ? 64 : Math.ceil(bits / 8)
  const form = algorithm === 'RSA-PSS' ? asPlainRsa(spki) : spki
  const verify = await currentVerifier().importKey({ algorithm, spki: form })
  return {
    keyId: await sha256Hex(spki),
    signatureBytes,
    async verify(message, signature) {
      // An app's own verifier may be plain JavaScript: nothing but `true` is a yes.
      const verdict: unknown = signature.length === signatureBytes && (await verify(message, signature))
      return verdict === true
    },
  }
}

/** Whether a signature text says nothing: absent, empty, white space, or the word a broken server prints for it. */
function isBlank(signature: unknown): boolean {
  return signature === null || signature === undefined || (typeof signature === 'string' && blank.test(signature))
}

/**
 * Checks a detached base64 signature over exact bytes by one of the pinned keys.
 *
 * @throws {ReleaseError} `SIGNATURE_MISSING`, `BAD_SIGNATURE`
 */
export async function verifySignature(
  keys: readonly TrustedKey[],
  message: Uint8Array,
  signature: unknown,
): Promise<void> {
  if (isBlank(signature))
    throw new ReleaseError('SIGNATURE_MISSING', 'There is no signature, and without one nothing is installed.')
  const bytes = typeof signature === 'string' ? decodeBase64(signature) : null
  if (bytes !== null) {
    for (const key of keys) if (await key.verify(message, bytes)) return
  }
  throw new ReleaseError('BAD_SIGNATURE', 'The signature was not made by a pinned key over these bytes.')
}
