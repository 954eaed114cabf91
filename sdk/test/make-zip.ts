import { deflateRawSync } from 'node:zlib'
import { crc32 } from '../src/archive/crc32.js'

/** One entry with every field that an attacker may set; what is left out is what an honest encoder writes. */
export interface ZipEntry {
  name: string | Uint8Array
  content?: Uint8Array | string
  packed?: Uint8Array
  stored?: boolean
  flags?: number
  method?: number
  crc?: number
  size?: number
  packedSize?: number
  host?: number
  attributes?: number
  extra?: Uint8Array
  comment?: string
  localName?: string
  localSize?: number
  localMethod?: number
  localExtra?: Uint8Array
  descriptor?: 'signed' | 'bare' | 'wrong'
  before?: Uint8Array
  offset?: number
}

export interface ZipShape {
  prefix?: Uint8Array
  gap?: Uint8Array
  trailing?: Uint8Array
  comment?: Uint8Array
  entries?: number
  disk?: number
  centralShift?: number
}

const text = new TextEncoder()
const bytesOf = (value: string | Uint8Array): Uint8Array => (typeof value === 'string' ? text.encode(value) : value)

function header(length: number, fields: [offset: number, bytes: 2 | 4, value: number][]): Uint8Array {
  const bytes = new Uint8Array(length)
  const data = new DataView(bytes.buffer)
  for (const [offset, size, value] of fields) {
    if (size === 2) data.setUint16(offset, value, true)
    else data.setUint32(offset, value, true)
  }
  return bytes
}

function describe(kind: 'signed' | 'bare' | 'wrong', crc: number, packedSize: number, size: number): Uint8Array {
  const body = header(12, [
    [0, 4, kind === 'wrong' ? crc ^ 1 : crc],
    [4, 4, packedSize],
    [8, 4, size],
  ])
  return kind === 'bare' ? body : concat([header(4, [[0, 4, 0x08074b50]]), body])
}

export function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.concat(parts))
}

/** Writes a zip field by field, honest or not. */
export function makeZip(entries: readonly ZipEntry[], shape: ZipShape = {}): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [shape.prefix ?? new Uint8Array()]
  const central: Uint8Array[] = []
  let offset = parts[0]!.length
  for (const entry of entries) {
    const name = bytesOf(entry.name)
    const content = bytesOf(entry.content ?? '')
    const stored = entry.stored ?? content.length === 0
    const packed = entry.packed ?? (stored ? content : deflateRawSync(content))
    const method = entry.method ?? (stored ? 0 : 8)
    const flags = (entry.flags ?? 0x0800) | (entry.descriptor ? 8 : 0)
    const crc = entry.crc ?? crc32(content)
    const size = entry.size ?? content.length
    const packedSize = entry.packedSize ?? packed.length
    const localName = entry.localName === undefined ? name : bytesOf(entry.localName)
    const localExtra = entry.localExtra ?? new Uint8Array()
    const late = entry.descriptor !== undefined
    const local = concat([
      entry.before ?? new Uint8Array(),
      header(30, [
        [0, 4, 0x04034b50],
        [4, 2, 20],
        [6, 2, flags],
        [8, 2, entry.localMethod ?? method],
        [12, 2, 0x21],
        [14, 4, late ? 0 : crc],
        [18, 4, late ? 0 : packedSize],
        [22, 4, late ? 0 : (entry.localSize ?? size)],
        [26, 2, localName.length],
        [28, 2, localExtra.length],
      ]),
      localName,
      localExtra,
      packed,
      entry.descriptor ? describe(entry.descriptor, crc, packedSize, size) : new Uint8Array(),
    ])
    const extra = entry.extra ?? new Uint8Array()
    const comment = bytesOf(entry.comment ?? '')
    central.push(
      header(46, [
        [0, 4, 0x02014b50],
        [4, 2, ((entry.host ?? 3) << 8) | 20],
        [6, 2, 20],
        [8, 2, flags],
        [10, 2, method],
        [14, 2, 0x21],
        [16, 4, crc],
        [20, 4, packedSize],
        [24, 4, size],
        [28, 2, name.length],
        [30, 2, extra.length],
        [32, 2, comment.length],
        [38, 4, (entry.attributes ?? 0) >>> 0],
        [42, 4, entry.offset ?? offset + (entry.before?.length ?? 0)],
      ]),
      name,
      extra,
      comment,
    )
    parts.push(local)
    offset += local.length
  }
  const gap = shape.gap ?? new Uint8Array()
  const directory = concat(central)
  const comment = shape.comment ?? new Uint8Array()
  const count = shape.entries ?? entries.length
  const end = header(22, [
    [0, 4, 0x06054b50],
    [4, 2, shape.disk ?? 0],
    [8, 2, count],
    [10, 2, count],
    [12, 4, directory.length],
    [16, 4, offset + gap.length + (shape.centralShift ?? 0)],
    [20, 2, comment.length],
  ])
  return concat([...parts, gap, directory, end, comment, shape.trailing ?? new Uint8Array()])
}
