import type { BitCoder } from './bit-coder.js'

/** Number of slots, each the chance of a 1 in one context. */
const slotBits = 22
const weightSets = 2048
const inputsMaximum = 8
const certainAfter = 255

/** Chances (of 65 536) by their logarithm of odds, which is the index less 2048, times 12/2048. */
const squashed = new Uint16Array(4096)
/** The other way round, by the upper 12 bits of a chance. */
const stretched = new Int16Array(4096)
/** How far a slot moves towards a bit, by how often it moved: 65 536 / (n + 1.5). */
const rates = new Uint16Array(certainAfter + 1)
/** How much a slot is believed, by how often it moved. */
const trust = new Float64Array(certainAfter + 1)

/** Only + - * / on doubles and integers, which every engine rounds alike; `Math.exp` is left to each of them. */
function fillTables(): void {
  const exponent = 12 / 2048
  let step = 1
  let term = 1
  for (let k = 1; k < 20; k++) {
    term = (term * exponent) / k
    step += term
  }
  let odds = 1
  for (let i = 0; i < 2048; i++) {
    const chance = Math.min(65_535, Math.max(1, Math.floor((odds / (1 + odds)) * 65_536)))
    squashed[2048 + i] = chance
    squashed[2048 - i] = Math.max(1, 65_536 - chance)
    odds *= step
  }
  squashed[0] = 1
  let at = 0
  for (let chance = 0; chance < 4096; chance++) {
    while (at < 4095 && (squashed[at] as number) < chance * 16 + 8) at += 1
    stretched[chance] = at - 2048
  }
  for (let n = 0; n <= certainAfter; n++) {
    rates[n] = Math.floor(65_536 / (n + 1.5))
    trust[n] = n === 0 ? 0 : Math.min(1, 0.5 + n * 0.1)
  }
}

const learning = 1 / 1_000_000_000
const clamp = (sum: number): number => (sum > 2047 ? 2047 : sum < -2047 ? -2047 : sum)

/** Mixes two numbers into a hash; the upper bits are the good ones. */
export function hash(a: number, b: number): number {
  const h = Math.imul(a ^ Math.imul(b, 0x2c1b_3c6d), 0x9e37_79b1)
  return Math.imul(h ^ (h >>> 15), 0x85eb_ca6b)
}

/** The slot of a context. */
export function slotOf(context: number): number {
  return context >>> (32 - slotBits)
}

/**
 * Predicts bits from contexts and learns from each. [P7] A slot holds a chance (22 bits) and how often it was seen (10
 * bits); the chances of all contexts of a bit are mixed, as logarithms of odds, under two sets of weights.
 */
export class Predictor {
  readonly #coder: BitCoder
  readonly #slots = new Uint32Array(1 << slotBits).fill(0x8000_0000)
  readonly #weights = new Float64Array(weightSets * inputsMaximum).fill(0.3)
  readonly #inputs = new Float64Array(inputsMaximum)
  /** The slots of the contexts of the next bit. */
  readonly contexts = new Int32Array(inputsMaximum)

  constructor(coder: BitCoder) {
    if (rates[0] === 0) fillTables()
    this.#coder = coder
  }

  /** Codes a bit that nothing is known about. */
  codeEvenly(bit: number): number {
    return this.#coder.code(bit, 32_768)
  }

  /** Codes a bit under the first `count` contexts and the weights of `first` and `second`. */
  code(bit: number, count: number, first: number, second: number): number {
    const slots = this.#slots
    const weights = this.#weights
    const inputs = this.#inputs
    const contexts = this.contexts
    const a = first * inputsMaximum
    const b = second * inputsMaximum
    let sumA = 0
    let sumB = 0
    for (let i = 0; i < count; i++) {
      const slot = slots[contexts[i] as number] as number
      const input = (stretched[slot >>> 20] as number) * (trust[slot & 1023] as number)
      inputs[i] = input
      sumA += (weights[a + i] as number) * input
      sumB += (weights[b + i] as number) * input
    }
    sumA = clamp(sumA)
    sumB = clamp(sumB)
    const coded = this.#coder.code(bit, squashed[2048 + (((sumA + sumB) / 2) | 0)] as number)
    const wanted = coded << 16
    const errorA = (wanted - (squashed[2048 + (sumA | 0)] as number)) * learning
    const errorB = (wanted - (squashed[2048 + (sumB | 0)] as number)) * learning
    for (let i = 0; i < count; i++) {
      const input = inputs[i] as number
      weights[a + i] = (weights[a + i] as number) + input * errorA
      weights[b + i] = (weights[b + i] as number) + input * errorB
      const at = contexts[i] as number
      const slot = slots[at] as number
      const seen = slot & 1023
      const chance = slot >>> 10
      const rate = rates[seen] as number
      const moved =
        coded === 1
          ? chance + ((((4_194_303 - chance) >>> 6) * rate) >>> 10)
          : chance - (((chance >>> 6) * rate) >>> 10)
      slots[at] = (moved << 10) | (seen < certainAfter ? seen + 1 : seen)
    }
    return coded
  }
}

/** [P8] Codes `width` bits of `value`, the highest first, each under those before it. */
export function codeBits(predictor: Predictor, context: number, width: number, value: number, weights: number): number {
  let coded = 1
  for (let i = width - 1; i >= 0; i--) {
    predictor.contexts[0] = slotOf(hash(context, coded))
    coded = coded * 2 + predictor.code((value >>> i) & 1, 1, weights, weights)
  }
  return coded - (1 << width)
}
