import { createRequire } from 'node:module'
import type forge from 'node-forge'

const load = createRequire(import.meta.url)

/**
 * RC2 (RFC 2268) decryption in CBC mode, padding left on: Keychain and old Windows encrypt certificates with it, OpenSSL 3
 * no more. Loaded when a file asks for it, so that no other file waits for the library.
 */
export function decryptRc2(key: Buffer, effectiveBits: number, iv: Buffer, ciphertext: Buffer): Buffer {
  const rc2 = load('node-forge/lib/rc2.js') as typeof forge.rc2
  const util = load('node-forge/lib/util.js') as typeof forge.util
  const cipher = rc2.createDecryptionCipher(key.toString('latin1'), effectiveBits)
  cipher.start(iv.toString('latin1'))
  cipher.update(util.createBuffer(ciphertext.toString('latin1')))
  cipher.finish(() => true)
  return Buffer.from(cipher.output.getBytes(), 'latin1')
}
