const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
const values = new Map(Array.from(alphabet, (char, index) => [char, index]))

/** Standard base64 with padding, on one line. */
export function encodeBase64(bytes: Uint8Array): string {
  let text = ''
  for (let at = 0; at < bytes.length; at += 3) {
    const [a, b, c] = [bytes[at] as number, bytes[at + 1], bytes[at + 2]]
    const group = (a << 16) | ((b ?? 0) << 8) | (c ?? 0)
    text += alphabet.charAt(group >> 18) + alphabet.charAt((group >> 12) & 63)
    text += b === undefined ? '=' : alphabet.charAt((group >> 6) & 63)
    text += c === undefined ? '=' : alphabet.charAt(group & 63)
  }
  return text
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
  let group = 0
  let length = 0
  for (let at = 0; at < text.length; at++) {
    const value = at < digits ? values.get(text.charAt(at)) : 0
    if (value === undefined) return null
    group = ((group << 6) | value) & 0xffffff
    if (at % 4 !== 3) continue
    for (const byte of [group >> 16, (group >> 8) & 255, group & 255]) {
      if (length < bytes.length) bytes[length++] = byte
      else if (byte !== 0) return null
    }
  }
  return bytes
}
