import { type ArchiveLimits, defaultArchiveLimits } from './archive-limits.js'
import { checkName, checkUniqueNames } from './check-name.js'
import { crc32 } from './crc32.js'

/** A file to be packed. */
export interface ArchiveInput {
  /** Relative path with forward slashes, in NFC. */
  path: string
  content: Uint8Array
}

/** Packs one content as a raw DEFLATE stream, e.g. `deflateRawSync` of `node:zlib`. */
export type Deflate = (content: Uint8Array) => Uint8Array

// 1980-01-01 00:00, the first moment a zip can name.
const fixedTime = 0
const fixedDate = 0x21
const versionNeeded = 20
const flagUtf8 = 0x0800

interface Packed {
  name: Uint8Array
  method: number
  crc: number
  size: number
  packed: Uint8Array
}

/** The 26 bytes that local and central headers share. */
function writeFields(view: DataView, at: number, entry: Packed): void {
  view.setUint16(at, versionNeeded, true)
  view.setUint16(at + 2, flagUtf8, true)
  view.setUint16(at + 4, entry.method, true)
  view.setUint16(at + 6, fixedTime, true)
  view.setUint16(at + 8, fixedDate, true)
  view.setUint32(at + 10, entry.crc, true)
  view.setUint32(at + 14, entry.packed.length, true)
  view.setUint32(at + 18, entry.size, true)
  view.setUint16(at + 22, entry.name.length, true)
  view.setUint16(at + 24, 0, true)
}

function pack(input: ArchiveInput, deflate: Deflate | null): Packed {
  const deflated = deflate && input.content.length > 0 ? deflate(input.content) : null
  const smaller = deflated !== null && deflated.length < input.content.length
  return {
    name: new TextEncoder().encode(input.path),
    method: smaller ? 8 : 0,
    crc: crc32(input.content),
    size: input.content.length,
    packed: smaller ? deflated : input.content,
  }
}

/**
 * Writes a zip archive that depends on nothing but names and contents: sorted by path, no attributes, no extra
 * fields, one fixed time, no directory entries. The same inputs and the same `deflate` give the same bytes.
 *
 * @param deflate without it every file is stored
 * @throws {ArchiveError} when a name would be refused by a reader
 */
export function writeArchive(inputs: readonly ArchiveInput[], deflate: Deflate | null = null): Uint8Array<ArrayBuffer> {
  const limits: ArchiveLimits = defaultArchiveLimits
  for (const input of inputs) checkName(input.path, limits)
  checkUniqueNames(inputs.map((input) => ({ path: input.path, directory: false })))
  const entries = inputs.toSorted((a, b) => (a.path < b.path ? -1 : 1)).map((input) => pack(input, deflate))
  const localBytes = entries.reduce((sum, entry) => sum + 30 + entry.name.length + entry.packed.length, 0)
  const centralBytes = entries.reduce((sum, entry) => sum + 46 + entry.name.length, 0)
  const bytes = new Uint8Array(localBytes + centralBytes + 22)
  const view = new DataView(bytes.buffer)
  let local = 0
  let central = localBytes
  for (const entry of entries) {
    view.setUint32(central, 0x02014b50, true)
    view.setUint16(central + 4, versionNeeded, true)
    writeFields(view, central + 6, entry)
    view.setUint32(central + 42, local, true)
    bytes.set(entry.name, central + 46)
    central += 46 + entry.name.length
    view.setUint32(local, 0x04034b50, true)
    writeFields(view, local + 4, entry)
    bytes.set(entry.name, local + 30)
    bytes.set(entry.packed, local + 30 + entry.name.length)
    local += 30 + entry.name.length + entry.packed.length
  }
  view.setUint32(central, 0x06054b50, true)
  view.setUint16(central + 8, entries.length, true)
  view.setUint16(central + 10, entries.length, true)
  view.setUint32(central + 12, centralBytes, true)
  view.setUint32(central + 16, localBytes, true)
  return bytes
}
