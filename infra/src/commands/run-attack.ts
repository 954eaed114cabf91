import { writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { type AttackCases, judgeCases, junitOf, proofsOf, readCases, type Verdict } from '../attack/cases.js'
import { patternOf } from '../attack/proofs.js'
import type { Config } from '../config.js'
import { Failure } from '../failure.js'
import { runVitest } from './run-vitest.js'

const say = (line: string): void => console.log(line)

function chooseCases(cases: AttackCases, ids: readonly string[]): AttackCases {
  const unknown = ids.find((id) => !(id in cases))
  if (unknown !== undefined)
    throw new Failure(`There is no case "${unknown}"; infra/attack/cases.json has them all.`, 2)
  return ids.length === 0 ? cases : Object.fromEntries(Object.entries(cases).filter(([id]) => ids.includes(id)))
}

/** Runs the named tests and no others. */
function vitestArguments(cases: AttackCases): string[] {
  const proofs = proofsOf(cases)
  const files = new Set(proofs.flatMap((proof) => Object.keys(proof)))
  const patterns = new Set(
    proofs.flatMap((proof) => Object.values(proof).flatMap((tests) => tests.map((test) => patternOf(test, ' ')))),
  )
  return [...files, '--testNamePattern', [...patterns].join('|')]
}

function lineOf({ id, what, passed, attacks, twins }: Verdict): string {
  return `${id}  ${passed ? 'passed' : 'FAILED'}  ${what} (${attacks} tests, ${twins} of the twin)`
}

function countOf(verdicts: readonly Verdict[], letter: string): string[] {
  const ofLetter = verdicts.filter(({ id }) => id.startsWith(letter))
  if (ofLetter.length === 0) return []
  return [`${ofLetter.filter(({ passed }) => passed).length} of ${ofLetter.length} (${letter})`]
}

/** The adversarial cases in throw-away servers: one line a case, exit code 0 only when each passed with its twin. */
export async function runAttack(config: Config, args: readonly string[]): Promise<number> {
  const junitFile = args.find((arg) => arg.startsWith('--junit='))?.slice('--junit='.length)
  const cases = chooseCases(
    readCases(config.checkout),
    args.filter((arg) => !arg.startsWith('--')),
  )
  const run = await runVitest(config, say, vitestArguments(cases))
  if (run === null) return 130
  const verdicts = judgeCases(cases, run.report)
  if (junitFile) writeFileSync(resolve(junitFile), junitOf(verdicts))
  for (const verdict of verdicts) {
    say(lineOf(verdict))
    for (const complaint of verdict.complaints) say(`     ${complaint}`)
  }
  say([...countOf(verdicts, 'D'), ...countOf(verdicts, 'T')].join(', '))
  return verdicts.every(({ passed }) => passed) ? 0 : 1
}
