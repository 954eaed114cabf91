import { PatchError } from './patch-error.js'

/**
 * Codes one bit after the other. Reading and writing share every line above this, so that they cannot drift apart.
 * `one` is the chance of a 1, of 65 536. The reader ignores `bit` and returns the bit that it read; the writer returns `bit`.
 */
export interface BitCoder {
  code(bit: number, one: number): number
}

/** Where an interval is divided: [P5] the part of a 1 is the lower one and never empty. */
function divide(low: number, high: number, one: number): number {
  const range = high - low
  return low + (range >>> 16) * one + (((range & 0xffff) * one) >>> 16)
}

/** Reads bits that `bitWriter` wrote. @throws {PatchError} `PATCH_MALFORMED` past the end of `bytes` */
export function bitReader(bytes: Uint8Array, start: number): BitCoder {
  let position = start
  let low = 0
  let high = 0xffff_ffff
  let value = 0
  const next = (): number => {
    // [P6] the last four bytes are read ahead; whoever wants more has lost the thread
    if (position >= bytes.length) throw new PatchError('PATCH_MALFORMED', 'The patch ends too early.')
    return bytes[position++] as number
  }
  for (let i = 0; i < 4; i++) value = ((value << 8) | next()) >>> 0
  return {
    code(_, one) {
      const middle = divide(low, high, one)
      const bit = value <= middle ? 1 : 0
      if (bit === 1) high = middle
      else low = middle + 1
      while (((low ^ high) & 0xff00_0000) === 0) {
        low = (low << 8) >>> 0
        high = ((high << 8) | 0xff) >>> 0
        value = ((value << 8) | next()) >>> 0
      }
      return bit
    },
  }
}

/** Writes bits; `finish` returns all bytes, behind the `head` it was given. */
export function bitWriter(head: Uint8Array): BitCoder & { finish(): Uint8Array } {
  let bytes = new Uint8Array(65_536)
  bytes.set(head)
  let length = head.length
  let low = 0
  let high = 0xffff_ffff
  const push = (byte: number): void => {
    if (length === bytes.length) {
      const grown = new Uint8Array(length * 2)
      grown.set(bytes)
      bytes = grown
    }
    bytes[length++] = byte
  }
  return {
    code(bit, one) {
      const middle = divide(low, high, one)
      if (bit === 1) high = middle
      else low = middle + 1
      while (((low ^ high) & 0xff00_0000) === 0) {
        push(high >>> 24)
        low = (low << 8) >>> 0
        high = ((high << 8) | 0xff) >>> 0
      }
      return bit
    },
    finish() {
      for (let i = 0; i < 4; i++) push((low >>> (24 - 8 * i)) & 0xff)
      return bytes.slice(0, length)
    },
  }
}
