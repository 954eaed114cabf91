import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { judgeProofs, type Proofs, type RanTests } from './proofs.js'

interface AttackCase {
  readonly what: string
  /** Tests in which the attack is tried and refused. */
  readonly attack: Proofs
  /** The positive twin: the same without the attack is accepted. Who refuses everything does not pass. */
  readonly twin: Proofs
}

export type AttackCases = Readonly<Record<string, AttackCase>>

export interface Verdict {
  readonly id: string
  readonly what: string
  readonly passed: boolean
  readonly attacks: number
  readonly twins: number
  readonly complaints: readonly string[]
}

/** The committed catalogue: which tests are which case. */
export function readCases(checkout: string): AttackCases {
  return JSON.parse(readFileSync(join(checkout, 'infra', 'attack', 'cases.json'), 'utf8')) as AttackCases
}

export function proofsOf(cases: AttackCases): Proofs[] {
  return Object.values(cases).flatMap(({ attack, twin }) => [attack, twin])
}

/** One verdict a case: attack and twin must both be named, have run, and have passed. */
export function judgeCases(cases: AttackCases, ran: RanTests): Verdict[] {
  return Object.entries(cases).map(([id, { what, attack, twin }]) => {
    const [attacks, twins] = [judgeProofs(attack, ran), judgeProofs(twin, ran)]
    const complaints = [
      ...(Object.keys(attack).length === 0 ? ['no test is named'] : attacks.complaints),
      ...(Object.keys(twin).length === 0 ? ['no positive twin is named'] : twins.complaints),
    ]
    return { id, what, passed: complaints.length === 0, attacks: attacks.passed, twins: twins.passed, complaints }
  })
}

const xml = (text: string): string =>
  text.replaceAll(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`).replaceAll(/\p{Cc}/gu, ' ')

/** JUnit XML, one test case for each case of the catalogue. */
export function junitOf(verdicts: readonly Verdict[]): string {
  const failures = verdicts.filter(({ passed }) => !passed).length
  const cases = verdicts.map(({ id, what, complaints }) => {
    const failure = complaints.length > 0 ? `<failure message="${xml(complaints.join('; '))}"/>` : ''
    return `  <testcase classname="attack" name="${xml(`${id} ${what}`)}">${failure}</testcase>`
  })
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuite name="attack" tests="${verdicts.length}" failures="${failures}">`,
    ...cases,
    '</testsuite>',
    '',
  ].join('\n')
}
