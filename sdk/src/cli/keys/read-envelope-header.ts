import { CommandError } from '../command.js'

/** What an envelope says in the clear: nothing of it is secret, and nothing of it is checked by a key. */
export interface EnvelopeHeader {
  suite: number
  kekId: string
  kekVersion: number
  wrappedKeyBytes: number
  payloadBytes: number
}

function refuse(): never {
  throw new CommandError('ENVELOPE_MALFORMED', 'This is not one whole CRE1 envelope.')
}

/** Parses strictly, as the broker does: every byte is accounted for. Takes raw bytes, or hex as `psql` prints it. */
export function readEnvelopeHeader(content: Uint8Array): EnvelopeHeader {
  const text = Buffer.from(content).toString('latin1').trim()
  const hex = /^(?:\\x)?((?:[0-9a-f]{2})+)$/i.exec(text)?.[1]
  const bytes = hex === undefined ? Buffer.from(content) : Buffer.from(hex, 'hex')
  let offset = 0
  const take = (length: number): Buffer => {
    if (offset + length > bytes.length) refuse()
    offset += length
    return bytes.subarray(offset - length, offset)
  }
  if (take(4).toString('latin1') !== 'CRE1') refuse()
  const suite = take(2).readUInt16BE()
  take(32 + 12 + 32)
  const kekId = take(take(2).readUInt16BE()).toString('utf8')
  const kekVersion = take(4).readUInt32BE()
  const wrappedKeyBytes = take(take(2).readUInt16BE()).length
  const bodyBytes = take(4).readUInt32BE()
  take(bodyBytes)
  if (offset !== bytes.length || bodyBytes < 16) refuse()
  return { suite, kekId, kekVersion, wrappedKeyBytes, payloadBytes: bodyBytes - 16 }
}
