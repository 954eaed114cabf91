const alphabet = new TextEncoder().encode('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/')
const values = new Int8Array(128).fill(-1)
alphabet.forEach((char, value) => (values[char] = value))

/** Standard base64 with padding, on one line. */
export function encodeBase64(bytes: Uint8Array): string {
  const { length } = bytes
  const text = new Uint8Array(Math.ceil(length / 3) * 4).fill(61)
  const put = (at: number, sextet: number): void => void (text[at] = alphabet[sextet & 63] as number)
  for (let [from, at] = [0, 0]; from < length; from += 3, at += 4) {
    const group = ((bytes[from] as number) << 16) | ((bytes[from + 1] ?? 0) << 8) | (bytes[from + 2] ?? 0)
    put(at, group >> 18)
    put(at + 1, group >> 12)
    if (from + 1 < length) put(at + 2, group >> 6)
    if (from + 2 < length) put(at + 3, group)
  }
  return new TextDecoder().decode(text)
}

/**
 * Decodes standard base64 (RFC 4648 §4) and nothing looser: padded, no white space, no other alphabet, unused bits zero.
 * Returns `null` for anything else, so that no two texts stand for the same bytes.
 */
export function decodeBase64(text: string): Uint8Array<ArrayBuffer> | null {
  if (text.length % 4 !== 0) return null
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0
  const bytes = new Uint8Array((text.length / 4) * 3 - padding)
  const digits = text.length - padding
  const value = (at: number): number => (at < digits ? (values[text.charCodeAt(at)] ?? -1) : 0)
  let [group, length] = [0, 0]
  for (let at = 0; at < text.length; at += 4) {
    group = (value(at) << 18) | (value(at + 1) << 12) | (value(at + 2) << 6) | value(at + 3)
    if (group < 0) return null
    // What padding stands for lies past the end and is not written.
    bytes[length++] = group >> 16
    bytes[length++] = group >> 8
    bytes[length++] = group
  }
  return (group & ((1 << (8 * padding)) - 1)) === 0 ? bytes : null
}
