import { createCipheriv, createDecipheriv } from 'node:crypto'

import { EnvelopeError } from './envelope-context.js'

export const NONCE_BYTES = 12
export const TAG_BYTES = 16

/** AES-256-GCM; the answer is ciphertext and 16-byte tag. */
export function gcmSeal(key: Uint8Array, nonce: Uint8Array, aad: Uint8Array, plaintext: Uint8Array): Buffer {
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 }).setAAD(aad)
  return Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()])
}

export function gcmOpen(key: Uint8Array, nonce: Uint8Array, aad: Uint8Array, sealed: Uint8Array): Buffer {
  const split = sealed.length - TAG_BYTES
  if (split < 0 || nonce.length !== NONCE_BYTES) throw new EnvelopeError()
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 })
  decipher.setAAD(aad).setAuthTag(sealed.subarray(split))
  const plaintext = decipher.update(sealed.subarray(0, split))
  try {
    decipher.final()
    return plaintext
  } catch {
    plaintext.fill(0)
    throw new EnvelopeError()
  }
}
