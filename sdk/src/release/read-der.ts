/** Reads DER (X.690) strictly: definite, minimal lengths; each `take` names the tag it expects. `null` is malformed. */
export interface DerReader {
  take(tag: number): Uint8Array | null
  readonly done: boolean
}

/** A reader over the contents of one constructed value. */
export function readDer(bytes: Uint8Array): DerReader {
  let at = 0
  return {
    take(tag) {
      if (bytes[at] !== tag) return null
      let length = bytes[at + 1]
      let start = at + 2
      if (length === undefined) return null
      if (length >= 0x80) {
        const count = length & 0x7f
        if (count === 0 || count > 3 || start + count > bytes.length) return null
        length = 0
        for (const byte of bytes.subarray(start, start + count)) length = length * 256 + byte
        if (length < 0x80 || (count > 1 && length < 1 << (8 * (count - 1)))) return null
        start += count
      }
      if (start + length > bytes.length) return null
      at = start + length
      return bytes.subarray(start, at)
    },
    get done() {
      return at === bytes.length
    },
  }
}
