import type { Copy } from '../patch-coder.js'
import { type ByteIndex, indexedBytes } from './index-bytes.js'

/** How copies are chosen. Bytes that are no copy cost time on the device, and often fewer bytes. */
export interface CopyTaste {
  /** Shortest copy along the newest diagonal. */
  shortest: number
  /** Literal bytes that naming a new place is worth. */
  newPlaceCost: number
  /** How many earlier places are looked at. */
  depth: number
}

const shortestElsewhere = 6
const goodEnough = 4096
const lazyBelow = 64

type Choice = { length: number; diagonal: number; gain: number }
const nothing: Choice = { length: 0, diagonal: 0, gain: 0 }

/** Divides the new bytes into copies and what lies between them: the best at each place, unless the next one has a better. */
export function findCopies(index: ByteIndex, taste: CopyTaste): Copy[] {
  const { bytes, oldLength } = index
  const freshLength = bytes.length - oldLength
  const copies: Copy[] = []
  const diagonals = [0, 0, 0, 0]
  for (let at = 0; at < freshLength;) {
    const choice = choose(index, taste, at, diagonals)
    const better = choice.gain > 0 && choice.length < lazyBelow && at + 1 < freshLength
    if (choice.gain <= 0 || (better && choose(index, taste, at + 1, diagonals).gain > choice.gain + 1)) {
      at += 1
      continue
    }
    copies.push({ at, length: choice.length, diagonal: choice.diagonal })
    const known = diagonals.indexOf(choice.diagonal)
    diagonals.splice(known === -1 ? diagonals.length - 1 : known, 1)
    diagonals.unshift(choice.diagonal)
    at += choice.length
  }
  return copies
}

function choose(index: ByteIndex, taste: CopyTaste, at: number, diagonals: readonly number[]): Choice {
  let best = nothing
  for (const [rank, diagonal] of diagonals.entries()) {
    const length = lengthOn(index, at, diagonal)
    const gain = length - (rank === 0 ? 1.5 : 4)
    if (length >= (rank === 0 ? taste.shortest : shortestElsewhere) && gain > best.gain)
      best = { length, diagonal, gain }
  }
  if (best.length >= goodEnough) return best
  const newest = diagonals[0] as number
  const found = findLongest(index, at, newest, taste.depth)
  if (found.length < indexedBytes) return best
  const near = Math.abs(found.diagonal - newest) < 64 ? 6 : 0
  const gain = found.length - taste.newPlaceCost + near
  return gain > best.gain && gain > worthOfStaying(index, at, newest, found.length) ? { ...found, gain } : best
}

/** How many bytes from `at` are the same on a diagonal. Copies do not run from the old bytes over into the new ones. */
function lengthOn({ bytes, oldLength }: ByteIndex, at: number, diagonal: number): number {
  const to = oldLength + at
  const from = at + diagonal
  if (from < 0 || from >= to) return 0
  const end = from < oldLength ? Math.min(bytes.length, to + oldLength - from) : bytes.length
  const shift = to - from
  let place = to
  while (place < end && bytes[place] === bytes[place - shift]) place += 1
  return place - to
}

function findLongest(
  index: ByteIndex,
  at: number,
  newest: number,
  depth: number,
): { length: number; diagonal: number } {
  const { bytes, oldLength, earlier } = index
  const to = oldLength + at
  let best = { length: 0, diagonal: 0 }
  let from = earlier[to] ?? -1
  for (let left = depth; left > 0 && from >= 0; left--) {
    if (best.length === 0 || bytes[from + best.length] === bytes[to + best.length]) {
      const diagonal = from - at
      const length = lengthOn(index, at, diagonal)
      const nearer = Math.abs(diagonal - newest) < Math.abs(best.diagonal - newest)
      if (length > best.length || (length === best.length && nearer)) best = { length, diagonal }
    }
    from = earlier[from] ?? -1
  }
  return best
}

/** What the newest diagonal gives over the same stretch, with its gaps. */
function worthOfStaying({ bytes, oldLength }: ByteIndex, at: number, diagonal: number, length: number): number {
  let same = 0
  let gaps = 0
  let inGap = false
  for (let i = 0; i < Math.min(length, goodEnough); i++) {
    const from = at + diagonal + i
    const hit = from >= 0 && from < oldLength + at && bytes[from] === bytes[oldLength + at + i]
    if (hit) same += 1
    else if (!inGap) gaps += 1
    inGap = !hit
  }
  return same - 3 * gaps
}
