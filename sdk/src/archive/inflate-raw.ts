import { ArchiveError } from './archive-error.js'

const lengthBase = [
  3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258,
]
const lengthExtra = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0]
const distanceBase = [
  1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145,
  8193, 12289, 16385, 24577,
]
const distanceExtra = [0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13]
const codeOrder = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]

/** A prefix code as a table indexed by the next `bits` bits; an entry is `symbol << 4 | length`, 0 when no code starts so. */
interface PrefixCode {
  table: Uint16Array
  bits: number
}

function broken(what: string): ArchiveError {
  return new ArchiveError('ARCHIVE_DEFLATE_BROKEN', `The compressed content is damaged: ${what}.`)
}

function buildCode(lengths: Uint8Array, allowSingle: boolean): PrefixCode {
  const counts = new Uint16Array(16)
  for (const length of lengths) counts[length] = (counts[length] as number) + 1
  counts[0] = 0
  let bits = 15
  while (bits > 0 && counts[bits] === 0) bits--
  const next = new Uint16Array(17)
  let left = 1
  for (let length = 1; length <= 15; length++) {
    left = left * 2 - (counts[length] as number)
    if (left < 0) throw broken('over-subscribed code')
    next[length + 1] = ((next[length] as number) + (counts[length] as number)) << 1
  }
  // One code of one bit is the only incomplete set that RFC 1951 encoders write.
  if (left > 0 && bits > 0 && !(allowSingle && bits === 1)) throw broken('incomplete code')
  const table = new Uint16Array(1 << bits)
  for (let symbol = 0; symbol < lengths.length; symbol++) {
    const length = lengths[symbol] as number
    if (length === 0) continue
    let code = next[length] as number
    next[length] = code + 1
    let reversed = 0
    for (let bit = 0; bit < length; bit++, code >>= 1) reversed = (reversed << 1) | (code & 1)
    for (let index = reversed; index < table.length; index += 1 << length) table[index] = (symbol << 4) | length
  }
  return { table, bits }
}

const fixedLiterals = buildCode(
  new Uint8Array(288).map((_, symbol) => (symbol < 144 ? 8 : symbol < 256 ? 9 : symbol < 280 ? 7 : 8)),
  false,
)
const fixedDistances = buildCode(new Uint8Array(32).fill(5), false)

class BitReader {
  readonly #input: Uint8Array
  #position = 0
  #hold = 0
  #bits = 0

  constructor(input: Uint8Array) {
    this.#input = input
  }

  /** Bytes used so far, whole bytes still held given back. */
  get consumed(): number {
    return this.#position - (this.#bits >> 3)
  }

  #fill(count: number): void {
    while (this.#bits < count && this.#position < this.#input.length) {
      this.#hold |= (this.#input[this.#position++] as number) << this.#bits
      this.#bits += 8
    }
  }

  #drop(count: number): void {
    if (count > this.#bits) throw broken('it ends early')
    this.#hold >>>= count
    this.#bits -= count
  }

  read(count: number): number {
    this.#fill(count)
    const value = this.#hold & ((1 << count) - 1)
    this.#drop(count)
    return value
  }

  symbol(code: PrefixCode): number {
    this.#fill(code.bits)
    const entry = code.table[this.#hold & ((1 << code.bits) - 1)] as number
    if (entry === 0) throw broken('unknown code')
    this.#drop(entry & 15)
    return entry >> 4
  }

  /** Skips to a byte boundary and returns the next `count` bytes, the count being read first by `stored`. */
  stored(): Uint8Array {
    this.#drop(this.#bits & 7)
    const length = this.read(16)
    if (this.read(16) !== (~length & 0xffff)) throw broken('stored block length')
    const start = this.consumed
    if (start + length > this.#input.length) throw broken('it ends early')
    this.#position = start + length
    this.#hold = 0
    this.#bits = 0
    return this.#input.subarray(start, start + length)
  }
}

function readDynamicCodes(reader: BitReader): [PrefixCode, PrefixCode] {
  const literals = reader.read(5) + 257
  const distances = reader.read(5) + 1
  const codes = reader.read(4) + 4
  if (literals > 286 || distances > 30) throw broken('too many symbols')
  const codeLengths = new Uint8Array(19)
  for (let index = 0; index < codes; index++) codeLengths[codeOrder[index] as number] = reader.read(3)
  const lengthCode = buildCode(codeLengths, false)
  const lengths = new Uint8Array(literals + distances)
  for (let index = 0; index < lengths.length;) {
    const symbol = reader.symbol(lengthCode)
    if (symbol < 16) {
      lengths[index++] = symbol
      continue
    }
    if (symbol === 16 && index === 0) throw broken('repeat without a length')
    const value = symbol === 16 ? (lengths[index - 1] as number) : 0
    const repeat = symbol === 16 ? 3 + reader.read(2) : symbol === 17 ? 3 + reader.read(3) : 11 + reader.read(7)
    if (index + repeat > lengths.length) throw broken('repeat past the end')
    lengths.fill(value, index, index + repeat)
    index += repeat
  }
  if (lengths[256] === 0) throw broken('no end of block')
  return [buildCode(lengths.subarray(0, literals), true), buildCode(lengths.subarray(literals), true)]
}

class Output {
  readonly bytes: Uint8Array<ArrayBuffer>
  length = 0

  constructor(size: number) {
    this.bytes = new Uint8Array(size)
  }

  /** Sizes are enforced here, while inflating: nothing past the declared size is ever written. */
  reserve(count: number): void {
    if (this.length + count > this.bytes.length) {
      throw new ArchiveError('ARCHIVE_SIZE_MISMATCH', 'The content unpacks to more than its declared size.')
    }
  }

  copyBack(distance: number, count: number): void {
    if (distance > this.length) throw broken('distance too far back')
    this.reserve(count)
    const { bytes } = this
    for (let end = this.length + count; this.length < end; this.length++) {
      bytes[this.length] = bytes[this.length - distance] as number
    }
  }
}

function inflateBlock(reader: BitReader, output: Output, literals: PrefixCode, distances: PrefixCode): void {
  for (;;) {
    const symbol = reader.symbol(literals)
    if (symbol < 256) {
      output.reserve(1)
      output.bytes[output.length++] = symbol
      continue
    }
    if (symbol === 256) return
    const length = lengthBase[symbol - 257]
    if (length === undefined) throw broken('unknown length')
    const count = length + reader.read(lengthExtra[symbol - 257] as number)
    const distanceSymbol = reader.symbol(distances)
    const distance = distanceBase[distanceSymbol]
    if (distance === undefined) throw broken('unknown distance')
    output.copyBack(distance + reader.read(distanceExtra[distanceSymbol] as number), count)
  }
}

/**
 * Inflates a raw DEFLATE stream (RFC 1951) that must be exactly `input` and must give exactly `size` bytes.
 * Own code and not the platform's, so that device and server give the same verdict on the same bytes,
 * including on what follows the end of the stream.
 *
 * @throws {ArchiveError} `ARCHIVE_DEFLATE_BROKEN`, `ARCHIVE_SIZE_MISMATCH`
 */
export function inflateRaw(input: Uint8Array, size: number): Uint8Array<ArrayBuffer> {
  const reader = new BitReader(input)
  const output = new Output(size)
  for (let last = false; !last;) {
    last = reader.read(1) === 1
    const type = reader.read(2)
    if (type === 0) {
      const bytes = reader.stored()
      output.reserve(bytes.length)
      output.bytes.set(bytes, output.length)
      output.length += bytes.length
    } else if (type === 1) inflateBlock(reader, output, fixedLiterals, fixedDistances)
    else if (type === 2) inflateBlock(reader, output, ...readDynamicCodes(reader))
    else throw broken('unknown block type')
  }
  if (output.length !== size) {
    throw new ArchiveError('ARCHIVE_SIZE_MISMATCH', 'The content unpacks to less than its declared size.')
  }
  if (reader.consumed !== input.length) throw broken('bytes follow its end')
  return output.bytes
}
