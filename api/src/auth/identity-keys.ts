import { createHmac, randomBytes } from 'node:crypto'
import { gcmOpen, gcmSeal, NONCE_BYTES } from '../vault/gcm.js'
import { hkdfSha512 } from '../vault/hkdf.js'

/** Keys for what this process itself must read again or recognize: derived from the pepper, which no database holds. */
const SALT = 'capstan-identity-v1'

export const identityKey = (pepper: Uint8Array, purpose: string): Buffer => hkdfSha512(pepper, SALT, purpose)[0]

/** `nonce ‖ AES-256-GCM(key, value, aad = purpose/subject)`: a row moved to another person does not open. */
export function sealOwn(pepper: Uint8Array, purpose: string, subject: string, value: Uint8Array): Buffer {
  const nonce = randomBytes(NONCE_BYTES)
  return Buffer.concat([
    nonce,
    ...gcmSeal(identityKey(pepper, purpose), nonce, Buffer.from(`${purpose}/${subject}`), value),
  ])
}

export function openOwn(pepper: Uint8Array, purpose: string, subject: string, sealed: Uint8Array): Buffer {
  const [nonce, rest] = [sealed.subarray(0, NONCE_BYTES), sealed.subarray(NONCE_BYTES)]
  return gcmOpen(identityKey(pepper, purpose), nonce, Buffer.from(`${purpose}/${subject}`), rest)
}

/** What is stored of something that is only ever compared. */
export function digestOwn(pepper: Uint8Array, purpose: string, value: string): string {
  return createHmac('sha256', identityKey(pepper, purpose)).update(value).digest('hex')
}
