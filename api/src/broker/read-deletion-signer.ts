import { createHash, createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'

import { importPlatformSigner } from '@capstan/sdk/release'

import { readSecretFile, SecretFileError } from '../vault/read-secret-file.js'
import type { DeletionSigner } from './broker-deps.js'

/** An Ed25519 key that signs one kind of statement and nothing else: one unencrypted PKCS#8 PEM. */
export async function readDeletionSigner(path: string, setting = 'DELETION_KEY_FILE'): Promise<DeletionSigner> {
  const pem = (await readSecretFile(path, setting)).toString('latin1')
  const key = readKey(pem)
  if (key?.asymmetricKeyType !== 'ed25519') {
    throw new SecretFileError(`${setting}: ${path} is not one Ed25519 private key in PKCS#8 PEM.`)
  }
  const publicKey = createPublicKey(key)
  const keyId = createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex')
  const publicKeyPem = publicKey.export({ type: 'spki', format: 'pem' }).toString()
  return { ...(await importPlatformSigner(pem, keyId)), publicKeyPem }
}

function readKey(pem: string): KeyObject | null {
  try {
    return createPrivateKey(pem)
  } catch {
    return null
  }
}
