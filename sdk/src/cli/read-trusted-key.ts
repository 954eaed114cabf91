import {
  importReleaseKey,
  type KeyAlgorithm,
  readReleasePublicKey,
  ReleaseError,
  type TrustedKey,
} from '../release/index.js'
import { CommandError } from './command.js'
import { readBytes } from './read-file.js'

/**
 * Reads a public key file under the key policy of devices.
 *
 * @throws {CommandError} `KEY_*`
 */
export async function readTrustedKey(path: string): Promise<{ key: TrustedKey; pem: string; algorithm: KeyAlgorithm }> {
  const pem = Buffer.from(await readBytes(path)).toString('latin1')
  try {
    return { key: await importReleaseKey(pem), pem, algorithm: readReleasePublicKey(pem).algorithm }
  } catch (error) {
    if (error instanceof ReleaseError) throw new CommandError(error.code, `${path}: ${error.message}`)
    throw error
  }
}
