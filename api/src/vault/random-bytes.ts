import { randomFillSync } from 'node:crypto'

const POOL_BYTES = 4096
const pool = Buffer.alloc(POOL_BYTES)
let used = POOL_BYTES

/** Random bytes for keys, salts and nonces, fetched many at a time; none is handed out twice or kept here after. */
export function takeRandomBytes(length: number): Buffer {
  if (length > POOL_BYTES) return randomFillSync(Buffer.alloc(length))
  if (used + length > POOL_BYTES) {
    randomFillSync(pool)
    used = 0
  }
  const part = pool.subarray(used, used + length)
  const bytes = Buffer.from(part)
  part.fill(0)
  used += length
  return bytes
}
