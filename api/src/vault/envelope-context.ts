/** What an envelope belongs to. Rebuilt from the row being read and the caller's organization, never from the envelope. */
export type EnvelopeContext = {
  org: string
  app: string
  credential: string
  kind: string
  version: string
}

/** What a wrapped key belongs to: ids and numbers only, for a key service may write them in the clear into its log. */
export type KeyContext = Readonly<Record<string, string>>

/** One message for every way to fail: what exactly was wrong helps nobody but an attacker. */
export class EnvelopeError extends Error {
  override name = 'EnvelopeError' as const
  /** For the log and the audit trail alone. */
  readonly reason: 'unreadable' | 'key-destroyed'

  constructor(reason: 'unreadable' | 'key-destroyed' = 'unreadable') {
    super('The envelope cannot be opened.')
    this.reason = reason
  }
}

/** [E1] `u16 n | for each key in order: u16 len, key, u16 len, value`, UTF-8. */
export function encodeContext(ctx: KeyContext): Buffer {
  const keys = Object.keys(ctx).toSorted()
  let bytes = twoBytes(keys.length)
  for (const key of keys) bytes += prefixedBytes(key) + prefixedBytes(ctx[key] ?? '')
  return Buffer.from(bytes, 'latin1')
}

const ASCII = /^\p{ASCII}*$/u

/** A string with one character for each byte: put together faster than buffers, and turned into one at the end. */
function prefixedBytes(text: string): string {
  const bytes = ASCII.test(text) ? text : Buffer.from(text, 'utf8').toString('latin1')
  return twoBytes(bytes.length) + bytes
}

function twoBytes(value: number): string {
  if (value > 0xff_ff) throw new RangeError('a context value has 65,535 bytes at most')
  return String.fromCharCode(value >> 8, value & 0xff)
}

export function lengthPrefixed(text: string): Buffer {
  return Buffer.from(prefixedBytes(text), 'latin1')
}

export function u16(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(2)
  bytes.writeUInt16BE(value)
  return bytes
}

export function u32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeUInt32BE(value)
  return bytes
}
