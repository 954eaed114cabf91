/** What an envelope belongs to. Rebuilt from the row being read and the caller's organization, never from the envelope. */
export type EnvelopeContext = {
  org: string
  app: string
  credential: string
  kind: string
  version: string
}

const KEYS = ['app', 'credential', 'kind', 'org', 'version'] as const

/** One message for every way to fail: what exactly was wrong helps nobody but an attacker. */
export class EnvelopeError extends Error {
  override name = 'EnvelopeError' as const
  constructor() {
    super('The envelope cannot be opened.')
  }
}

/** [E1] `u16 n | for each key in order: u16 len, key, u16 len, value`, UTF-8. */
export function encodeContext(ctx: EnvelopeContext): Buffer {
  const parts = KEYS.flatMap((key) => [lengthPrefixed(key), lengthPrefixed(ctx[key])])
  return Buffer.concat([u16(KEYS.length), ...parts])
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
