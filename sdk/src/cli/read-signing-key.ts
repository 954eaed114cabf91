import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import { sha256Hex } from '../archive/index.js'
import { importReleaseSigner, ReleaseError, type Signer } from '../release/index.js'
import { CommandError } from './command.js'
import { readBytes } from './read-file.js'

/**
 * Reads a customer's private key: RSA, unencrypted PEM (PKCS#8 or PKCS#1), under the same policy as public keys.
 *
 * @throws {CommandError} `KEY_*`
 */
export async function readSigningKey(path: string): Promise<Signer> {
  const pem = Buffer.from(await readBytes(path)).toString('latin1')
  if (/ENCRYPTED/.test(pem)) {
    throw new CommandError(
      'KEY_ENCRYPTED',
      `The key in ${path} is encrypted; decrypt it first, e.g. with openssl pkey.`,
    )
  }
  let key: KeyObject
  try {
    key = createPrivateKey(pem)
  } catch {
    throw new CommandError('KEY_NOT_PEM', `${path} does not hold a private key in PEM; capstan keygen makes one.`)
  }
  const keyId = await sha256Hex(createPublicKey(key).export({ type: 'spki', format: 'der' }))
  try {
    return await importReleaseSigner(key.export({ type: 'pkcs8', format: 'pem' }).toString(), keyId)
  } catch (error) {
    if (error instanceof ReleaseError)
      throw new CommandError(error.code, `The key in ${path} cannot sign releases: ${error.message}`)
    throw error
  }
}
