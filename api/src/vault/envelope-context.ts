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
  const texts = Object.keys(ctx)
    .toSorted()
    .flatMap((key) => [key, ctx[key] ?? ''])
  const bytes = Buffer.alloc(texts.reduce((size, text) => size + 2 + Buffer.byteLength(text), 2))
  let offset = bytes.writeUInt16BE(texts.length / 2)
  for (const text of texts) {
    const length = bytes.write(text, offset + 2)
    offset = bytes.writeUInt16BE(length, offset) + length
  }
  return bytes
}

export function lengthPrefixed(text: string): Buffer {
  const bytes = Buffer.from(text, 'utf8')
  return Buffer.concat([u16(bytes.length), bytes])
}

export function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(value)
  return bytes
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
