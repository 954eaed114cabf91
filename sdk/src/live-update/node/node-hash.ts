import { createHash } from 'node:crypto'
import { webHash } from '../../verifier/verifier.js'

/** About what is hashed in the time that it takes to hand it to another thread and hear back. */
const atOnceMaximum = 128 * 1024

/** SHA-256: small files at once, others on the threads of Node, so that the program goes on meanwhile. */
export function nodeHash(bytes: Uint8Array): Promise<ArrayBuffer> {
  if (bytes.length > atOnceMaximum) return webHash(bytes)
  return Promise.resolve(Uint8Array.from(createHash('sha256').update(bytes).digest()).buffer)
}
