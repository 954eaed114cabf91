import { CredentialRefusal } from './credential-refusal.js'

const MAX_ITERATIONS = 1_000_000
const MAX_TOTAL = 5_000_000

/** Counts key-derivation rounds before they are run; a file that asks for too many is refused unpaid. */
export class DerivationBudget {
  #left = MAX_TOTAL

  /** Refuses a count without spending it: for what is read ahead. */
  static check(iterations: number): void {
    if (!(iterations <= MAX_ITERATIONS)) throw tooCostly()
  }

  /** `blocks`: how many times over the rounds are run for a key longer than one digest. */
  spend(iterations: number, blocks = 1): number {
    DerivationBudget.check(iterations)
    this.#left -= iterations * blocks
    if (this.#left < 0) throw tooCostly()
    return iterations
  }
}

function tooCostly(): CredentialRefusal {
  return new CredentialRefusal(
    'keystore-too-costly',
    'The file asks for too many key-derivation rounds. Export it again with fewer, for example 10000.',
  )
}
