import { createHash, hash } from 'node:crypto'

const BLOCK_BYTES: Record<string, number> = { sha384: 128, sha512: 128, 'sha512-224': 128, 'sha512-256': 128 }
const DIGEST_BYTES: Record<string, number> = { md5: 16, sha1: 20, sha224: 28, sha256: 32, sha384: 48, sha512: 64 }

/** What the derived bytes are for (RFC 7292 appendix B.3). */
export const KeyPurpose = { key: 1, iv: 2, mac: 3 } as const

export type Derivation = { digest: string; password: Buffer; salt: Buffer; iterations: number }

/** The key derivation of PKCS#12 (RFC 7292 appendix B.2). `password` is a BMPString with its two zero bytes, or empty. */
export function derivePkcs12Key(
  { digest, password, salt, iterations }: Derivation,
  purpose: (typeof KeyPurpose)[keyof typeof KeyPurpose],
  length: number,
): Buffer {
  const block = BLOCK_BYTES[digest] ?? 64
  const diversifier = Buffer.alloc(block, purpose)
  const input = Buffer.concat([repeatTo(salt, block), repeatTo(password, block)])
  const pieces: Buffer[] = []
  const needed = Math.ceil(length / (DIGEST_BYTES[digest] ?? 20))
  for (let count = 0; count < needed; count += 1) {
    let piece = createHash(digest).update(diversifier).update(input).digest()
    for (let round = 1; round < iterations; round += 1) piece = hash(digest, piece, 'buffer')
    pieces.push(piece)
    if (count + 1 < needed) addToBlocks(input, repeatTo(piece, block).subarray(0, block))
  }
  return Buffer.concat(pieces).subarray(0, length)
}

/** `bytes` again and again, up to the next full block; nothing stays nothing. */
function repeatTo(bytes: Buffer, block: number): Buffer {
  if (bytes.length === 0) return Buffer.alloc(0)
  const result = Buffer.alloc(block * Math.ceil(bytes.length / block))
  for (let at = 0; at < result.length; at += 1) result[at] = bytes[at % bytes.length] ?? 0
  return result
}

/** Each block of `input` becomes itself + `addend` + 1, as big-endian numbers that wrap around. */
function addToBlocks(input: Buffer, addend: Buffer): void {
  for (let start = 0; start < input.length; start += addend.length) {
    let carry = 1
    for (let index = addend.length - 1; index >= 0; index -= 1) {
      carry += (input[start + index] ?? 0) + (addend[index] ?? 0)
      input[start + index] = carry & 0xff
      carry >>= 8
    }
  }
}
