import { createPrivateKey, createPublicKey } from 'node:crypto'

import type { CheckpointKey } from '../audit/checkpoints/signed-note.js'
import { readSecretFile, SecretFileError } from '../vault/read-secret-file.js'

const SETTING = 'CHECKPOINT_KEY_FILE'

/** The Ed25519 key that signs checkpoints of audit chains and nothing else: one unencrypted PKCS#8 PEM. */
export async function readCheckpointKey(path: string): Promise<CheckpointKey> {
  const pem = (await readSecretFile(path, SETTING)).toString('latin1')
  try {
    const privateKey = createPrivateKey(pem)
    if (privateKey.asymmetricKeyType === 'ed25519') {
      const publicKey = createPublicKey(privateKey)
      const der = publicKey.export({ type: 'spki', format: 'der' })
      const publicKeyPem = publicKey.export({ type: 'spki', format: 'pem' }).toString()
      return { privateKey, publicKeyPem, rawPublicKey: der.subarray(-32) }
    }
  } catch {
    // The sentence below says it.
  }
  throw new SecretFileError(`${SETTING}: ${path} is not one Ed25519 private key in PKCS#8 PEM.`)
}
