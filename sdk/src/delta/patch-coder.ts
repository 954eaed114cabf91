import type { BitCoder } from './bit-coder.js'
import { PatchError } from './patch-error.js'
import { codeBits, hash, Predictor, slotOf } from './predictor.js'

/** A stretch of the new bytes that is the same as an earlier one. */
export interface Copy {
  /** Where it starts in the new bytes. */
  at: number
  length: number
  /** Where it comes from, less `at`: an address in the old bytes followed by the new ones. */
  diagonal: number
}

const recentDiagonals = 4
const fromOld = 4
const fromNew = 5
const literalContexts = 8

function malformed(what: string): never {
  throw new PatchError('PATCH_MALFORMED', `The patch is damaged: ${what}.`)
}

const bitLength = (value: number): number => 32 - Math.clz32(value)

/** Letters, digits, `_`, `$`: what names in programs are made of. */
function isNameByte(byte: number): boolean {
  return (
    (byte >= 97 && byte <= 122) ||
    (byte >= 65 && byte <= 90) ||
    (byte >= 48 && byte <= 57) ||
    byte === 95 ||
    byte === 36
  )
}

/**
 * The new bytes as copies and literals, in either direction: with `copies` it writes what `fresh` holds, without it
 * fills `fresh` with what it reads.
 */
export class PatchCoder {
  readonly #old: Uint8Array
  readonly #fresh: Uint8Array
  readonly #copies: readonly Copy[] | null
  readonly #predictor: Predictor
  readonly #hashes = new Int32Array(literalContexts)
  /** The diagonals last used, newest first. */
  readonly #diagonals = Array.from({ length: recentDiagonals }, () => 0)
  #next = 0
  #position = 0
  /** Literals since the last copy, at most 15. */
  #run = 0
  /** How the last copy was named: 0 none yet, 1 newest diagonal, 2 another one, 3 a new one. */
  #lastKind = 0
  #lastLength = 0
  /** For the last eight bytes, the latest in the lowest bit: whether the diagonal had them. */
  #hits = 0
  /** Hash of the name that the last bytes are in. */
  #name = 0
  /** Literals and copies so far. */
  steps = 0

  constructor(coder: BitCoder, sides: { old: Uint8Array; fresh: Uint8Array; copies: readonly Copy[] | null }) {
    this.#predictor = new Predictor(coder)
    this.#old = sides.old
    this.#fresh = sides.fresh
    this.#copies = sides.copies
  }

  /** Codes at most `count` literals and copies. Returns whether there is more. */
  advance(count: number): boolean {
    for (let i = 0; i < count && this.#position < this.#fresh.length; i++) {
      this.steps += 1
      const copy = this.#copies?.[this.#next]
      const due = copy?.at === this.#position
      if (this.#codeIsCopy(due ? 1 : 0) === 1) {
        if (due) this.#next += 1
        this.#codeCopy(copy)
      } else this.#codeLiteral()
    }
    return this.#position < this.#fresh.length
  }

  /** The byte at an address of the old bytes followed by the new ones; 0 where there is none yet. */
  #source(address: number): number {
    if (address < this.#old.length) return address < 0 ? 0 : (this.#old[address] as number)
    const at = address - this.#old.length
    return at < this.#position ? (this.#fresh[at] as number) : 0
  }

  /** The last byte, the one before it, … */
  #before(distance: number): number {
    const at = this.#position - distance
    return at < 0 ? 0 : (this.#fresh[at] as number)
  }

  #codeIsCopy(bit: number): number {
    const { contexts } = this.#predictor
    const run = this.#run
    const short = Math.min(run, 3)
    const address = this.#position + (this.#diagonals[0] as number)
    const one = this.#before(1)
    contexts[0] = slotOf(hash(11, run * 4 + this.#lastKind))
    contexts[1] = slotOf(hash(12, this.#hits * 16 + short))
    contexts[2] = slotOf(hash(13 + run * 64, one * 256 + this.#source(address)))
    contexts[3] = slotOf(hash(14, Math.imul(one | (this.#before(2) << 8) | (this.#before(3) << 16), 31) + short))
    contexts[4] = slotOf(hash(15, run * 256 + this.#source(address - 1)))
    contexts[5] = slotOf(hash(16, short + 4 * Math.min(15, bitLength(this.#lastLength))))
    return this.#predictor.code(bit, 6, 300 + run, 320)
  }

  #codeCopy(wanted: Copy | undefined): void {
    const { kind, diagonal } = this.#codeDiagonal(wanted)
    const context = 0x4000 + kind * 2 + Math.min(this.#run, 1)
    const length = this.#codeNumber(context, wanted ? wanted.length - 1 : 0, 336) + 1
    this.#copyBytes(this.#position + diagonal, length)
    const diagonals = this.#diagonals
    for (let i = Math.min(kind, recentDiagonals - 1); i > 0; i--) diagonals[i] = diagonals[i - 1] as number
    diagonals[0] = diagonal
    this.#position += length
    this.#run = 0
    this.#lastKind = kind === 0 ? 1 : kind < recentDiagonals ? 2 : 3
    this.#lastLength = length
    this.#hits = 0xff
    this.#name = this.#nameSoFar()
  }

  #codeDiagonal(wanted: Copy | undefined): { kind: number; diagonal: number } {
    const diagonals = this.#diagonals
    const known = wanted ? diagonals.indexOf(wanted.diagonal) : -1
    const isOld = wanted !== undefined && wanted.at + wanted.diagonal < this.#old.length
    const choice = known === -1 ? (isOld ? fromOld : fromNew) : known
    const kind = codeBits(this.#predictor, 0x1000 + this.#lastKind * 16 + this.#run, 3, choice, 330)
    if (kind > fromNew) malformed('a copy comes from nowhere')
    if (kind < recentDiagonals) return { kind, diagonal: diagonals[kind] as number }
    if (kind === fromNew) {
      const distance = this.#codeNumber(0x3500, wanted ? this.#old.length - wanted.diagonal - 1 : 0, 334) + 1
      return { kind, diagonal: this.#old.length - distance }
    }
    const newest = diagonals[0] as number
    const difference = wanted ? wanted.diagonal - newest : 0
    const sign = codeBits(this.#predictor, 0x3000 + this.#lastKind, 1, difference < 0 ? 1 : 0, 332)
    const context = 0x3100 + Math.min(this.#run, 1) + sign * 2
    const size = this.#codeNumber(context, Math.max(0, Math.abs(difference) - 1), 333) + 1
    return { kind, diagonal: sign === 1 ? newest - size : newest + size }
  }

  /** [P9] A number from 0: how many bits it has, the three below the highest under that, and the rest evenly. */
  #codeNumber(context: number, value: number, weights: number): number {
    const length = codeBits(this.#predictor, context, 5, bitLength(value), weights)
    if (length <= 1) return length
    let rest = length - 1
    const upper = Math.min(rest, 3)
    rest -= upper
    const mask = (1 << upper) - 1
    let coded =
      mask + 1 + codeBits(this.#predictor, hash(context, 1000 + length), upper, (value >>> rest) & mask, weights)
    while (rest > 0) {
      rest -= 1
      coded = coded * 2 + this.#predictor.codeEvenly((value >>> rest) & 1)
    }
    return coded
  }

  #copyBytes(address: number, length: number): void {
    const oldLength = this.#old.length
    const fresh = this.#fresh
    const at = this.#position
    if (address < 0 || length > fresh.length - at) malformed('a copy reaches too far')
    if (address < oldLength) {
      if (length > oldLength - address) malformed('a copy reaches past the old bytes')
      if (this.#copies === null) fresh.set(this.#old.subarray(address, address + length), at)
      return
    }
    const from = address - oldLength
    if (from >= at) malformed('a copy comes from bytes that are not there yet')
    if (this.#copies !== null) return
    if (from + length <= at) fresh.copyWithin(at, from, from + length)
    else for (let i = 0; i < length; i++) fresh[at + i] = fresh[from + i] as number
  }

  #nameSoFar(): number {
    let length = 0
    while (length < 24 && length < this.#position && isNameByte(this.#before(length + 1))) length += 1
    let name = 0
    for (let distance = length; distance > 0; distance--) name = hash(name, this.#before(distance))
    return name
  }

  /** [P10] What is known before a literal: the bytes before it, and what stands at and around the newest diagonal. */
  #fillHashes(address: number, expected: number): void {
    const h = this.#hashes
    const one = this.#before(1)
    const two = one | (this.#before(2) << 8)
    const before = this.#source(address - 1)
    h[0] = hash(101, one)
    h[1] = hash(102, two)
    h[2] = hash(103, two | (this.#before(3) << 16))
    h[3] = hash(104, this.#name)
    h[4] = hash(105, expected | (one << 8) | ((before === one ? 1 : 0) << 16))
    h[5] = hash(106, expected | (this.#source(address + 1) << 8) | (before << 16))
    h[6] = hash(107, expected | ((this.#hits & 15) << 8) | (Math.min(this.#run, 3) << 12))
    h[7] = hash(108, 0)
  }

  #codeLiteral(): void {
    const h = this.#hashes
    const { contexts } = this.#predictor
    const address = this.#position + (this.#diagonals[0] as number)
    const expected = this.#source(address)
    this.#fillHashes(address, expected)
    const wanted = this.#copies === null ? 0 : (this.#fresh[this.#position] as number)
    const situation = (512 + (this.#hits & 7) * 4 + Math.min(this.#run, 3)) * 3
    let coded = 1
    for (let bit = 7; bit >= 0; bit--) {
      if (bit === 3) for (let i = 0; i < literalContexts; i++) h[i] = hash(h[i] as number, coded)
      // Sixteen slots side by side hold the half byte, so that four bits touch one line of the cache.
      const inHalf = bit > 3 ? coded : (coded & ((1 << (3 - bit)) - 1)) | (1 << (3 - bit))
      for (let i = 0; i < literalContexts; i++) contexts[i] = (slotOf(h[i] as number) & ~15) | inHalf
      const expectedBit = (expected | 256) >>> (bit + 1) === coded ? 1 + ((expected >>> bit) & 1) : 0
      coded = coded * 2 + this.#predictor.code((wanted >>> bit) & 1, literalContexts, coded, situation + expectedBit)
    }
    this.#endLiteral(coded & 255, expected)
  }

  #endLiteral(byte: number, expected: number): void {
    if (this.#copies === null) this.#fresh[this.#position] = byte
    this.#position += 1
    this.#run = Math.min(15, this.#run + 1)
    this.#hits = ((this.#hits << 1) | (byte === expected ? 1 : 0)) & 255
    this.#name = isNameByte(byte) ? hash(this.#name, byte) : 0
  }
}
