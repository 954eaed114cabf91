import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { readCases } from './cases.js'
import { judgeProofs, type Proofs, type RanTests } from './proofs.js'

export interface NamedControl {
  readonly id: string
  readonly state: 'in_place' | 'partial' | 'planned'
  readonly missing?: string
  readonly cases?: readonly string[]
  readonly tests?: Proofs
}

/** What `GET /v1/controls` states. */
export function readControls(checkout: string): NamedControl[] {
  return JSON.parse(readFileSync(join(checkout, 'api', 'controls.json'), 'utf8')) as NamedControl[]
}

/** The controls called "in place" of which a named test did not run or did not pass, one sentence each. */
export function unprovenControls(checkout: string, ran: RanTests): string[] {
  const cases = readCases(checkout)
  return readControls(checkout)
    .filter(({ state }) => state === 'in_place')
    .flatMap(({ id, cases: ids = [], tests = {} }) => {
      const proofs = [tests, ...ids.flatMap((name) => (cases[name] ? [cases[name].attack, cases[name].twin] : []))]
      return proofs.flatMap((proof) => judgeProofs(proof, ran).complaints.map((complaint) => `${id}: ${complaint}`))
    })
}
