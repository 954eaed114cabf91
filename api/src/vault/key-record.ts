import { EnvelopeError, lengthPrefixed, u16, u32 } from './envelope-context.js'
import type { WrappedDek } from './key-manager.js'

/** Records of the key store, format `KST1`; FORMAT.md numbers the steps. */
const MAGIC = Buffer.from('KST1', 'latin1')
const types = { organizationKey: 1, entries: 2, tombstone: 3 } as const

export type OrganizationKeyRecord = {
  type: 'organizationKey'
  version: number
  /** Set in the newest record: keys of versions below it are not used any more. */
  minVersion: number
  createdAt: number
  wrapped: WrappedDek
}
export type EntriesRecord = { type: 'entries'; createdAt: number; wrapped: WrappedDek }
type Tombstone = { type: 'tombstone'; destroyedAt: number }
export type KeyRecord = OrganizationKeyRecord | EntriesRecord | Tombstone

/** [S1] */
export function encodeRecord(record: KeyRecord): Buffer {
  const head = Buffer.concat([MAGIC, Buffer.from([types[record.type]])])
  if (record.type === 'tombstone') return Buffer.concat([head, u64(record.destroyedAt)])
  const versions = record.type === 'organizationKey' ? [u32(record.version), u32(record.minVersion)] : []
  const { kekId, kekVersion, wrapped } = record.wrapped
  const key = [lengthPrefixed(kekId), u32(kekVersion), u16(wrapped.length), wrapped]
  return Buffer.concat([head, ...versions, u64(record.createdAt), ...key])
}

/** [S2] Every byte is accounted for. */
export function decodeRecord(bytes: Buffer): KeyRecord {
  let offset = 0
  const take = (length: number): Buffer => {
    if (offset + length > bytes.length) throw new EnvelopeError()
    offset += length
    return bytes.subarray(offset - length, offset)
  }
  const end = <T extends KeyRecord>(record: T): T => {
    if (offset !== bytes.length) throw new EnvelopeError()
    return record
  }
  const time = (): number => Number(take(8).readBigUInt64BE())
  const readWrapped = (): WrappedDek => {
    const kekId = take(take(2).readUInt16BE()).toString('utf8')
    const kekVersion = take(4).readUInt32BE()
    return { kekId, kekVersion, wrapped: take(take(2).readUInt16BE()) }
  }
  if (!take(MAGIC.length).equals(MAGIC)) throw new EnvelopeError()
  switch (take(1).readUInt8()) {
    case types.organizationKey: {
      const [version, minVersion] = [take(4).readUInt32BE(), take(4).readUInt32BE()]
      return end({ type: 'organizationKey', version, minVersion, createdAt: time(), wrapped: readWrapped() })
    }
    case types.entries:
      return end({ type: 'entries', createdAt: time(), wrapped: readWrapped() })
    case types.tombstone:
      return end({ type: 'tombstone', destroyedAt: time() })
    default:
      throw new EnvelopeError()
  }
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(value))
  return bytes
}
