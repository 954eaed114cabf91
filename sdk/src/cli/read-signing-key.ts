import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import { importReleaseKey, importReleaseSigner, ReleaseError, type Signer } from '../release/index.js'
import { CommandError } from './command.js'

/** A signer, and its public key as one SPKI PEM. */
export type LocalSigner = Signer & { publicPem: string }

/**
 * Reads a customer's private key: RSA or Ed25519, unencrypted PEM (PKCS#8 or PKCS#1), under the same policy as public keys.
 *
 * @param place where it is from, for messages
 * @throws {CommandError} `KEY_*`
 */
export async function readSigningKey(pem: string, place: string): Promise<LocalSigner> {
  if (/ENCRYPTED/.test(pem)) {
    throw new CommandError(
      'KEY_ENCRYPTED',
      `The key in ${place} is encrypted; decrypt it first, e.g. with openssl pkey.`,
    )
  }
  let key: KeyObject
  try {
    key = createPrivateKey(pem)
  } catch {
    throw new CommandError('KEY_NOT_PEM', `${place} does not hold a private key in PEM; capstan keygen makes one.`)
  }
  const publicPem = createPublicKey(key).export({ type: 'spki', format: 'pem' }).toString()
  try {
    const { keyId } = await importReleaseKey(publicPem)
    const signer = await importReleaseSigner(key.export({ type: 'pkcs8', format: 'pem' }).toString(), keyId)
    return { ...signer, publicPem }
  } catch (error) {
    if (error instanceof ReleaseError)
      throw new CommandError(error.code, `The key in ${place} cannot sign releases: ${error.message}`)
    throw error
  }
}
