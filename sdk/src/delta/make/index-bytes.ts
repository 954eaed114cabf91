/** Shortest stretch that is looked up. */
export const indexedBytes = 8

/** Finds earlier places that start like a given one. */
export interface ByteIndex {
  /** The old bytes followed by the new ones. */
  readonly bytes: Uint8Array
  readonly oldLength: number
  /** For each place the nearest earlier one with the same hash of its first bytes, or -1. */
  readonly earlier: Int32Array
}

/** Indexes every place of both sides: nine bytes of memory for each. */
export function indexBytes(old: Uint8Array, fresh: Uint8Array): ByteIndex {
  const length = old.length + fresh.length
  const bytes = new Uint8Array(length)
  bytes.set(old)
  bytes.set(fresh, old.length)
  const bits = Math.min(24, Math.max(12, 32 - Math.clz32(length)))
  const newest = new Int32Array(1 << bits).fill(-1)
  const earlier = new Int32Array(length).fill(-1)
  const view = new DataView(bytes.buffer)
  for (let at = 0; at + indexedBytes <= length; at++) {
    let h = Math.imul(view.getInt32(at, true), 0x9e37_79b1)
    h = Math.imul(h ^ (h >>> 15) ^ view.getInt32(at + 4, true), 0x85eb_ca6b)
    const bucket = Math.imul(h ^ (h >>> 13), 0xc2b2_ae35) >>> (32 - bits)
    earlier[at] = newest[bucket] as number
    newest[bucket] = at
  }
  return { bytes, oldLength: old.length, earlier }
}
