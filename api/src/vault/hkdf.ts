import { createHmac } from 'node:crypto'

const HASH = 'sha512'
const KEY_BYTES = 32

/**
 * HKDF-SHA-512 (RFC 5869) to 32 bytes, one key for each label. Keys of one secret and salt share the extraction, which
 * `hkdfSync` of Node would repeat for every label.
 */
export function hkdfSha512<Labels extends readonly string[]>(
  secret: Uint8Array,
  salt: Uint8Array | string,
  ...labels: Labels
): { [Index in keyof Labels]: Buffer } {
  const extracted = createHmac(HASH, salt).update(secret).digest()
  const derive = (label: string) => {
    const block = createHmac(HASH, extracted).update(label).update('\u0001').digest()
    block.fill(0, KEY_BYTES)
    return block.subarray(0, KEY_BYTES)
  }
  const keys = labels.map(derive)
  extracted.fill(0)
  return keys as { [Index in keyof Labels]: Buffer }
}
