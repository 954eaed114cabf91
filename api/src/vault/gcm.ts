import { createCipheriv, createDecipheriv } from 'node:crypto'

import { EnvelopeError } from './envelope-context.js'

export const NONCE_BYTES = 12
export const TAG_BYTES = 16

/** AES-256-GCM; the answer is ciphertext and 16-byte tag, apart: whoever stores them puts all parts together once. */
export function gcmSeal(
  key: Uint8Array,
  nonce: Uint8Array,
  aad: Uint8Array,
  plaintext: Uint8Array,
): readonly [ciphertext: Buffer, tag: Buffer] {
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 }).setAAD(aad)
  const ciphertext = cipher.update(plaintext)
  // Of a stream cipher the end has no bytes of its own.
  cipher.final()
  return [ciphertext, cipher.getAuthTag()]
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
