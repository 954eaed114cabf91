import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { type AttackCases, judgeCases, junitOf, proofsOf, readCases } from '../src/attack/cases.js'
import { findMissingTests } from '../src/attack/find-missing-tests.js'
import { patternOf, type RanTests } from '../src/attack/proofs.js'

const checkout = join(dirname(fileURLToPath(import.meta.url)), '..', '..')

describe('the catalogue of attacks', () => {
  const cases = readCases(checkout)

  test('has the thirty cases, and the twelve of separation of duties', () => {
    const thirty = Array.from({ length: 30 }, (_, index) => `D${String(index + 1).padStart(2, '0')}`)
    const twelve = Array.from({ length: 12 }, (_, index) => `T${index + 1}`)
    expect(Object.keys(cases)).toEqual([...thirty, ...twelve])
  })

  test('names tests that exist', () => {
    // Those of separation of duties are named by their number alone: that they ran is seen by the run.
    const written = Object.fromEntries(Object.entries(cases).filter(([id]) => id !== 'D04' && !id.startsWith('T')))
    expect(proofsOf(written).flatMap((proofs) => findMissingTests(checkout, proofs))).toEqual([])
  })
})

const file = 'api/test/x.test.ts'
const one: AttackCases = {
  D01: { what: 'x', attack: { [file]: ['doors > are shut'] }, twin: { [file]: ['are open'] } },
}
const ran = (...tests: (readonly [string[], string, string])[]): RanTests => ({
  testResults: [
    {
      name: `/somewhere/${file}`,
      assertionResults: tests.map(([ancestorTitles, title, status]) => ({ ancestorTitles, title, status })),
    },
  ],
})
const judged = (cases: AttackCases, report: RanTests) =>
  judgeCases(cases, report).map(({ passed, complaints }) => ({ passed, complaints }))

describe('a case', () => {
  const attack = [['doors'], 'are shut', 'passed'] as const
  const twin = [['doors'], 'are open', 'passed'] as const

  test('passes when attack and twin ran and passed', () => {
    expect(judged(one, ran([['doors'], ...attack.slice(1)] as never, twin as never))).toEqual([
      { passed: true, complaints: [] },
    ])
  })

  test.each([
    ['whose test failed', ran([['doors'], 'are shut', 'failed'], [['doors'], 'are open', 'passed']), /^failed: /],
    [
      'whose test was skipped',
      ran([['doors'], 'are shut', 'skipped'], [['doors'], 'are open', 'passed']),
      /^skipped: /,
    ],
    ['whose test is not there', ran([['doors'], 'are open', 'passed']), /^did not run: .*are shut/],
    ['whose test stands elsewhere', ran([['gates'], 'are shut', 'passed'], [[], 'are open', 'passed']), /^did not run/],
    ['whose twin failed', ran([['doors'], 'are shut', 'passed'], [['doors'], 'are open', 'failed']), /are open/],
    ['whose twin did not run', ran([['doors'], 'are shut', 'passed']), /^did not run: .*are open/],
    ['of a file that did not run', { testResults: [] }, /^did not run/],
  ])('%s fails', (_what, report, complaint) => {
    const [verdict] = judged(one, report)
    expect(verdict?.passed).toBe(false)
    expect(verdict?.complaints[0]).toMatch(complaint)
  })

  test('that names no test, or no twin, fails', () => {
    const { attack: named, twin: twinNamed } = one.D01!
    const report = ran([['doors'], 'are shut', 'passed'], [['doors'], 'are open', 'passed'])
    expect(judged({ D01: { what: 'x', attack: {}, twin: twinNamed } }, report)[0]?.passed).toBe(false)
    expect(judged({ D01: { what: 'x', attack: named, twin: {} } }, report)[0]?.passed).toBe(false)
  })

  test('with rows fails when one of them does; of named rows only those count', () => {
    const rows = ran([[], 'D20 a is refused', 'passed'], [[], 'D21 b is refused', 'failed'])
    const cases = (row?: string): AttackCases => {
      const reference = row === undefined ? '%s is refused' : { test: '%s is refused', row }
      return {
        D01: { what: 'x', attack: { [file]: [reference] }, twin: { [file]: [{ test: '%s is refused', row: 'D20 ' }] } },
      }
    }
    expect(judged(cases(), rows)[0]?.passed).toBe(false)
    expect(judged(cases('D20 '), rows)[0]?.passed).toBe(true)
    expect(judged(cases('D21 '), rows)[0]?.passed).toBe(false)
  })
})

test('titles are compared as text, whatever they contain', () => {
  expect('a (b) [c]? $ 1+1').toMatch(new RegExp(patternOf('a (b) [c]? $ 1+1', ' > ')))
  expect('another a').not.toMatch(new RegExp(patternOf('a', ' > ')))
  expect('x > set 7: one, two').toMatch(new RegExp(patternOf('set $name: one, %s', ' > ')))
})

test('a test that no file has is found', () => {
  const missing = findMissingTests(checkout, {
    'infra/test/check.test.ts': ['a test file that cannot be loaded counts as a failure', 'a test that nobody wrote'],
    'infra/test/gone.test.ts': ['x'],
  })
  expect(missing).toHaveLength(2)
})

test('the report names each case, and what is wrong with it as text', () => {
  const verdicts = judgeCases({ D01: { what: '<x> & "y"', attack: {}, twin: {} } }, { testResults: [] })
  expect(junitOf(verdicts)).toContain('name="D01 &#60;x&#62; &#38; &#34;y&#34;"><failure')
})
